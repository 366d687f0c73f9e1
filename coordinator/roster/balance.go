package roster

import (
	"time"

	"github.com/gramme-project/gramme/coordinator/plan"
	"github.com/gramme-project/gramme/internal/wire"
)

// steadySteps is for how many steps shares must have been wrong before that is
// reason for a plan, apart from the time of steady: steps may be longer. A worker
// that computes one micro-batch of each has forgotten one that was disturbed by then.
const steadySteps = 4

// steady is how long shares must have been wrong before that is reason for a plan:
// several times as long as a silence that may be a blip, and as the span over which
// workers measure themselves.
func (r *Roster) steady() time.Duration { return 5 * r.cfg.FailureTimeout }

// rest is the least time between two plans for that reason, however speeds change.
func (r *Roster) rest() time.Duration { return 10 * r.cfg.FailureTimeout }

// tilt is since when the shares of the plan have been wrong for the speeds of its
// members.
type tilt struct {
	since time.Time // zero: they are right, or it is not known
	step  uint64    // the newest that was applied then
}

// rebalance returns why the members should divide the micro-batches anew, if they
// should. It is asked at every tick. What is worthwhile at first, and when it is
// done, may be a little less between: speeds are measured, and measurements differ.
func (r *Roster) rebalance(now time.Time, live []*worker) (reason string) {
	step := uint64(0)
	for _, w := range live {
		if r.leaving(w) || !r.trains(w) {
			r.tilt = tilt{}
			return ""
		}
		step = max(step, w.beat.Step)
	}
	gain, reason := plan.Rebalance(r.plan, candidates(live))
	if gain <= plan.Hysteresis || r.intent.Stop || !r.broken.IsZero() {
		r.tilt = tilt{}
		return ""
	}
	if gain <= plan.Worthwhile {
		return ""
	}
	if r.tilt.since.IsZero() {
		r.tilt = tilt{now, step}
	}
	if now.Sub(r.tilt.since) < r.steady() || step < r.tilt.step+steadySteps || !r.evened.IsZero() && now.Sub(r.evened) < r.rest() {
		return ""
	}
	r.evened, r.tilt = now, tilt{}
	return reason
}

// trains reports whether a member takes part in the steps of this generation.
func (r *Roster) trains(w *worker) bool {
	return w.beat.Generation == r.plan.Generation && (w.beat.State == wire.WorkerComputing || w.beat.State == wire.WorkerReducing)
}

// candidates are workers as the plan sees them.
func candidates(members []*worker) []plan.Candidate {
	all := make([]plan.Candidate, len(members))
	for i, w := range members {
		all[i] = plan.Candidate{ID: w.reg.ID, Incarnation: w.reg.Incarnation, Mailbox: w.reg.Mailbox, Speed: w.speed()}
	}
	return all
}

// speed is what a worker measured last, 0 if it did not yet.
func (w *worker) speed() float64 {
	if w.beat.Speed > 0 {
		return float64(w.beat.Speed)
	}
	return float64(w.reg.Speed)
}
