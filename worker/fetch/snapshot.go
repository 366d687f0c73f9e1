package fetch

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// snapshot gets the state of members that are equal, or that of the checkpoint service.
type snapshot struct {
	*Fetch
	step.FetchSnapshot
}

func (s *snapshot) ask() Action {
	return s.askFor(s.From[0], func(info wire.SnapshotInfo, err error) Action {
		if err == nil && !s.Fits(info) {
			err = fmt.Errorf("%s holds step %d with digest %s", s.From[0], info.Step, info.Digest)
		}
		if err != nil {
			return s.fail(s.Generation, fmt.Errorf("fetch state of step %d: %w", s.Step, err))
		}
		return s.do(GetState{s.From, info}, func(_ time.Time, a Answer) Action {
			if a.Err != nil {
				return s.fail(s.Generation, fmt.Errorf("fetch state of step %d: %w", s.Step, a.Err))
			}
			return fetched(s.Generation, info)
		})
	})
}

func fetched(generation uint64, info wire.SnapshotInfo) End {
	return End{Event: step.SnapshotFetched{Generation: generation, Step: info.Step}}
}

// askFor asks a donor for the state that it can give. An absent checkpoint service is waited
// for.
func (f *Fetch) askFor(donor string, then func(info wire.SnapshotInfo, err error) Action) Action {
	return f.do(AskInfo{donor}, func(_ time.Time, a Answer) Action {
		switch {
		case a.Err == nil || a.Refused:
			return then(a.Info, a.Err)
		case donor != wire.IDCheckpoint:
			return then(a.Info, fmt.Errorf("ask %s for its state: %w", donor, a.Err))
		}
		err := fmt.Errorf("wait for the checkpoint service: %w", a.Err)
		return f.wait(Wait{For: f.timeout / 10, Err: err}, func() Action { return f.askFor(donor, then) })
	})
}

// resumeTries bounds the attempts to get the newest checkpoint: a newer one may replace it
// meanwhile.
const resumeTries = 10

// resume gets the newest checkpoint, if there is one.
type resume struct {
	*Fetch
	tries int
}

// NewResume returns the fetch of a worker that starts. Its end has no event.
func NewResume(failureTimeout time.Duration) *Fetch {
	r := &resume{Fetch: &Fetch{timeout: failureTimeout}}
	r.first = r.ask
	return r.Fetch
}

func (r *resume) ask() Action {
	return r.askFor(wire.IDCheckpoint, func(info wire.SnapshotInfo, err error) Action {
		switch {
		case err != nil:
			return r.again(fmt.Errorf("ask for a checkpoint: %w", err))
		case !info.Found:
			return End{}
		}
		return r.do(GetState{[]string{wire.IDCheckpoint}, info}, func(_ time.Time, a Answer) Action {
			if a.Err != nil {
				return r.again(fmt.Errorf("fetch checkpoint of step %d: %w", info.Step, a.Err))
			}
			return End{}
		})
	})
}

func (r *resume) again(err error) Action {
	if r.tries++; r.tries == resumeTries {
		return End{Err: err}
	}
	return r.wait(Wait{For: r.timeout / 4, Err: err}, r.ask)
}
