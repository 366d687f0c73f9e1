package simulation

import (
	"fmt"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// givePin pins the newest state, or that of the next step, for one that joins.
func (k *worker) givePin(e envelope) {
	ask, ok := e.body.(wire.Pin)
	if !ok { // the coordinator asks whether it is there
		k.p.answer(e, nil, errNotHeld)
		return
	}
	switch pinned := k.Pin(k.w.time(), ask.Step, ask.For); {
	case pinned == nil:
		k.p.answer(e, nil, fmt.Errorf("step %d has passed", ask.Step))
	case pinned.State == nil:
		k.p.answer(e, wire.SnapshotInfo{Step: pinned.At}, nil)
	default:
		k.p.answer(e, infoOf(k.w, pinned.State), nil)
	}
}

// fetchPinned brings a state that members keep: the first that answers says which.
func (k *worker) fetchPinned(s step.FetchPinned) {
	f := k.beginFetch()
	var first func(members []string)
	first = func(members []string) {
		if f.ended {
			return
		}
		if len(members) == 0 {
			k.settle(f, s.Generation, errNotHeld, nil)
			return
		}
		k.p.ask(topicPin, members[0], wire.Pin{For: k.id}, answerWithin, func(body any, err error) {
			info, ok := body.(wire.SnapshotInfo)
			if err != nil || !ok || !info.Found {
				first(members[1:])
				return
			}
			k.others(info, members[1:], func(donors []string) {
				if f.ended {
					return
				}
				if info.Step <= s.Newer {
					k.settle(f, s.Generation, fmt.Errorf("they are at step %d", info.Step), nil)
					return
				}
				k.w.say("%s fetches the state of step %d that %v keep", k.reg.Incarnation, info.Step, append(members[:1:1], donors...))
				k.fetchSnapshot(append(members[:1:1], donors...), info, func(got *fetched, err error) {
					if err == nil && !f.ended {
						k.fetched = got
					}
					k.settle(f, s.Generation, err, step.SnapshotFetched{Generation: s.Generation, Step: info.Step})
				})
			})
		})
	}
	first(s.From)
}

// others finds out who keeps the same state, asking each once.
func (k *worker) others(want wire.SnapshotInfo, members []string, done func(donors []string)) {
	var donors []string
	var next func(members []string)
	next = func(members []string) {
		if len(members) == 0 {
			done(donors)
			return
		}
		k.p.ask(topicPin, members[0], wire.Pin{Step: want.Step, For: k.id}, answerWithin, func(body any, err error) {
			if info, ok := body.(wire.SnapshotInfo); err == nil && ok && info.Found && info.Step == want.Step && info.Digest == want.Digest {
				donors = append(donors, members[0])
			}
			next(members[1:])
		})
	}
	next(members)
}
