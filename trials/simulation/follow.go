package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// held is what a member keeps for those who join: its state after a step, and the
// entries since.
type held struct {
	at      uint64
	state   *replica.State // nil: the step has yet to come
	entries [][]int32
	used    time.Duration
}

// mostKept is how many entries are kept: few, so that newcomers fail to keep up.
const mostKept = 6

func (h *held) entry(number uint64) []int32 {
	if h == nil || number <= h.at || number > h.at+uint64(len(h.entries)) {
		return nil
	}
	return h.entries[number-h.at-1]
}

// keep follows the state by a step.
func (k *worker) keep() {
	switch h := k.held; {
	case h == nil:
	case h.state != nil:
		if h.entries = append(h.entries, slices.Clone(k.entry)); len(h.entries) > mostKept || k.w.now-h.used > 5*failureTimeout {
			k.held = nil
		}
	case k.state.Step == h.at:
		h.state = k.state.Clone()
	}
}

// giveHold keeps the newest state, or that of the next step, for one that joins.
func (k *worker) giveHold(e envelope) {
	number := e.body.(wire.Hold).Step
	if number == 0 {
		number = k.state.Step
	}
	if k.held == nil {
		if number < k.state.Step || number > k.state.Step+1 {
			k.p.answer(e, nil, fmt.Errorf("step %d has passed", number))
			return
		}
		k.held = &held{at: number}
		if number == k.state.Step {
			k.held.state = k.state.Clone()
		}
	}
	k.held.used = k.w.now
	if k.held.state == nil {
		k.p.answer(e, wire.SnapshotInfo{Step: k.held.at}, nil)
		return
	}
	k.p.answer(e, infoOf(k.w, k.held.state), nil)
}

// fetchHeld brings a state that members keep: the first that answers says which.
func (k *worker) fetchHeld(s step.FetchHeld) {
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
		k.p.ask(topicHold, members[0], wire.Hold{}, answerWithin, func(body any, err error) {
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
		k.p.ask(topicHold, members[0], wire.Hold{Step: want.Step}, answerWithin, func(body any, err error) {
			if info, ok := body.(wire.SnapshotInfo); err == nil && ok && info.Found && info.Step == want.Step && info.Digest == want.Digest {
				donors = append(donors, members[0])
			}
			next(members[1:])
		})
	}
	next(members)
}
