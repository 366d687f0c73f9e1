package fetch

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// maxDonors is how many members pin a state for a worker that joins: each makes a copy.
const maxDonors = 4

// pinned gets a state that members pin while they train on: the first that answers names the
// step, and members that have the same state, or soon will, are donors too.
type pinned struct {
	*Fetch
	step.FetchPinned
	asked    int // members so far
	failures error
	info     wire.SnapshotInfo // of the first donor
	donors   []string
}

func (p *pinned) askFirst() Action {
	if p.asked == len(p.From) {
		return failed(p.Generation, fmt.Errorf("no member pins a state for this worker: %w", p.failures))
	}
	first := p.From[p.asked]
	p.asked++
	return p.do(AskPin{Member: first}, func(now time.Time, a Answer) Action {
		switch {
		case a.Err == nil && !a.Info.Found:
			a.Err = fmt.Errorf("%s waits to pin step %d for another worker", first, a.Info.Step)
		case a.Err == nil && a.Info.Step <= p.Newer:
			return failed(p.Generation, fmt.Errorf("%s is at step %d, this worker is at %d", first, a.Info.Step, p.Newer))
		case a.Err == nil:
			p.info, p.donors = a.Info, []string{first}
			return p.askNext(now)
		}
		p.failures = errors.Join(p.failures, a.Err)
		return p.askFirst()
	})
}

// askNext asks the next member to pin the same state, or gets the state.
func (p *pinned) askNext(now time.Time) Action {
	if p.asked == len(p.From) || len(p.donors) == maxDonors {
		return p.do(GetState{p.donors, p.info}, func(_ time.Time, a Answer) Action {
			if a.Err != nil {
				return failed(p.Generation, a.Err)
			}
			return fetched(p.Generation, p.info)
		})
	}
	member := p.From[p.asked]
	p.asked++
	return p.askTo(member, now.Add(p.timeout/4))
}

// askTo asks one member until it has pinned the state, does not have it, or takes too long:
// then the other donors suffice.
func (p *pinned) askTo(member string, end time.Time) Action {
	return p.do(AskPin{member, p.info.Step}, func(now time.Time, a Answer) Action {
		same := a.Err == nil && a.Info.Step == p.info.Step
		switch {
		case same && a.Info.Found && a.Info.Digest == p.info.Digest:
			p.donors = append(p.donors, member)
		case same && !a.Info.Found && !now.After(end):
			return p.wait(Wait{For: p.timeout / 100}, func() Action { return p.askTo(member, end) })
		}
		return p.askNext(now)
	})
}
