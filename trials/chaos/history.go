package chaos

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// history puts what the coordinator answers and what workers say of their steps
// into one sequence. The coordinator hears of a step as late as everybody else, so
// that its answer may show an older one.
type history struct {
	seen []Seen
	ring []Member // the newest that was not empty
	up   int      // of which start of `gramme up`
}

// newest is the last that was seen.
func (h *history) newest() Seen {
	if len(h.seen) == 0 {
		return Seen{}
	}
	return h.seen[len(h.seen)-1]
}

// status takes an answer of the coordinator. The step never falls while anybody
// who has it is still there.
func (h *history) status(s Seen) {
	last := h.newest()
	if s.Up == h.up && (len(s.Members) == 0 || overlap(h.ring, s.Members)) {
		s.Step = max(s.Step, last.Step)
	}
	if len(s.Members) > 0 {
		h.ring = s.Members
	}
	h.up = s.Up
	if len(h.seen) == 0 || !s.same(last) {
		h.seen = append(h.seen, s)
	}
}

func overlap(a, b []Member) bool {
	return slices.ContainsFunc(a, func(m Member) bool {
		return slices.ContainsFunc(b, func(o Member) bool { return o.PID == m.PID })
	})
}

// beat takes what a worker says of its newest step. One of an older generation
// says nothing of the run.
func (h *history) beat(now time.Time, b wire.Beat) {
	last := h.newest()
	if b.Generation < last.Generation || b.Step <= last.Step || last.State != wire.StateTraining || b.Tokens == 0 {
		return
	}
	last.At, last.Step = now, b.Step
	h.seen = append(h.seen, last)
}
