package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// answerWithin bounds one request for a piece.
const answerWithin = 5 * time.Second

// fetched is a verified state that waits to be loaded.
type fetched struct {
	state  replica.State
	digest string
	stored bool // a checkpoint has it: it is not what this worker trained
}

// fetch is what is being fetched. There is one at a time; one that was ended
// answers no more.
type fetch struct{ ended bool }

func (k *worker) beginFetch() *fetch {
	k.endFetch()
	k.fetching = &fetch{}
	return k.fetching
}

func (k *worker) endFetch() {
	if k.fetching != nil {
		k.fetching.ended = true
		k.fetching = nil
	}
}

// settle tells the loop how a fetch ended: of a failure after a short rest, unless it
// is one from outside.
func (k *worker) settle(f *fetch, generation uint64, err error, success step.Event) {
	switch {
	case f.ended:
		return
	case err == nil:
		k.post(success)
		return
	case k.machine.Rank() < 0:
		k.post(step.FetchFailed{Generation: generation, Reason: err.Error()})
		return
	}
	k.w.say("%s cannot fetch: %v", k.reg.Incarnation, err)
	k.p.after(failureTimeout/10, func() {
		if !f.ended {
			k.post(step.FetchFailed{Generation: generation, Reason: err.Error()})
		}
	})
}

func (k *worker) fetchEntry(e step.FetchEntry) {
	f := k.beginFetch()
	if !e.Await {
		k.w.say("%s fetches the entry of step %d from %v", k.reg.Incarnation, e.Step, e.From)
	}
	told := false
	var try func(from []string, later bool)
	try = func(from []string, later bool) {
		if f.ended {
			return
		}
		if len(from) > 0 {
			k.p.ask(topicEntry, from[0], wire.Range{Step: e.Step}, answerWithin, func(body any, err error) {
				if err != nil || f.ended {
					try(from[1:], later || errors.Is(err, errLater))
					return
				}
				copy(k.Spare, body.([]int32))
				k.settle(f, e.Generation, nil, step.EntryFetched{Generation: e.Generation, Step: e.Step})
			})
			return
		}
		if !later || !e.Await {
			k.settle(f, e.Generation, errNotHeld, nil)
			return
		}
		if !told {
			told = true
			k.post(step.UpToDate{Generation: e.Generation, Step: e.Step})
		}
		k.p.after(failureTimeout/100, func() { try(e.From, false) })
	}
	try(e.From, false)
}

func (k *worker) fetchState(s step.FetchSnapshot) {
	f := k.beginFetch()
	k.p.ask(topicInfo, s.From[0], nil, answerWithin, func(body any, err error) {
		if err == nil {
			info := body.(wire.SnapshotInfo)
			if k.w.bug == NoDigests {
				info.Digest = s.Digest
			}
			if !s.Fits(info) {
				err = fmt.Errorf("%s holds step %d", s.From[0], info.Step)
			}
		}
		if err != nil {
			k.settle(f, s.Generation, err, nil)
			return
		}
		k.fetchSnapshot(s.From, body.(wire.SnapshotInfo), func(got *fetched, err error) {
			if err == nil && !f.ended {
				k.fetched = got
			}
			k.settle(f, s.Generation, err, step.SnapshotFetched{Generation: s.Generation, Step: body.(wire.SnapshotInfo).Step})
		})
	})
}

// fetchSnapshot brings the parts of a state from donors that all hold it, and
// verifies it. A donor that fails is left; what it owed comes from the others.
func (k *worker) fetchSnapshot(donors []string, info wire.SnapshotInfo, done func(f *fetched, err error)) {
	got := &fetched{digest: info.Digest, stored: slices.Contains(donors, wire.IDCheckpoint)}
	var err error
	if got.state.Meta, err = replica.DecodeMeta(k.w.rule, info.Meta); err != nil {
		done(nil, err)
		return
	}
	parts := []struct {
		name string
		to   *[]float32
	}{{wire.PartWeights, &got.state.Weights}, {wire.PartMoment1, &got.state.Moment1}, {wire.PartMoment2, &got.state.Moment2}}
	asking := len(donors)
	var failures error
	left := func(failure error) {
		failures = errors.Join(failures, failure)
		if asking--; asking > 0 {
			return
		}
		switch {
		case len(parts) > 0:
			done(nil, failures)
		default:
			done(got, k.verify(got))
		}
	}
	var next func(donor string)
	next = func(donor string) {
		if len(parts) == 0 {
			left(nil)
			return
		}
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		k.p.ask(topicSnapshot, donor, wire.Range{Name: part.name, Step: info.Step}, answerWithin, func(body any, err error) {
			if err != nil {
				parts = append(parts, part)
				left(err)
				return
			}
			*part.to = body.([]float32)
			next(donor)
		})
	}
	for _, d := range donors {
		next(d)
	}
}

func (k *worker) verify(got *fetched) error {
	if k.w.bug == MixedSnapshot || k.w.bug == NoDigests {
		return nil
	}
	d, err := replica.Digest(&got.state, 1)
	if err == nil && d != got.digest {
		err = fmt.Errorf("digest %s of what came, not %s", d, got.digest)
	}
	return err
}

// What a worker gives to peers, whatever its loop is at.

func (k *worker) giveEntry(e envelope) {
	number := e.body.(wire.Range).Step
	entry, later := k.EntryAt(k.w.time(), number)
	if older, _ := k.EntryAt(k.w.time(), number-1); k.w.bug == StalePin && entry != nil && older != nil {
		entry = older
	}
	switch {
	case entry != nil:
		k.p.answer(e, slices.Clone(entry), nil)
	case later:
		k.p.answer(e, nil, errLater)
	default:
		k.p.answer(e, nil, errNotHeld)
	}
}

func (k *worker) giveSnapshot(e envelope) {
	r := e.body.(wire.Range)
	state := k.StateAt(k.w.time(), r.Step)
	if state == nil {
		k.p.answer(e, nil, errNotHeld)
		return
	}
	k.p.answer(e, slices.Clone(*pin.Part(state, r.Name)), nil)
}

func (k *worker) giveInfo(e envelope) { k.p.answer(e, infoOf(k.w, k.State), nil) }

var (
	errNotHeld = errors.New("it is not held")
	errLater   = errors.New("it has yet to come")
)

// infoOf names a state that can be given.
func infoOf(w *world, s *replica.State) wire.SnapshotInfo {
	info, err := pin.Describe(s, 1)
	if err != nil {
		w.fail("%v", err)
	}
	return info
}
