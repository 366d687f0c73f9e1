package roster

import (
	"time"

	"github.com/gramme-project/gramme/coordinator/plan"
	"github.com/gramme-project/gramme/internal/wire"
)

// imbalanceSteps is for how many steps, besides imbalanceWait, shares must have been wrong
// before that is the reason of a plan. After so many, the measured speed of a worker with
// one micro-batch a step no longer shows a single disturbance.
const imbalanceSteps = 4

// imbalanceWait is how long shares must have been wrong before that is the reason of a
// plan: several times as long as a short silence, and as the span over which workers
// measure their speed.
func (r *Roster) imbalanceWait() time.Duration { return 5 * r.cfg.FailureTimeout }

// rebalancePause is the least time between two plans for that reason.
func (r *Roster) rebalancePause() time.Duration { return 10 * r.cfg.FailureTimeout }

// imbalance records since when the shares of the plan have been wrong for the speeds of its
// members.
type imbalance struct {
	since time.Time // zero: they are right, or it is not known
	step  uint64    // the newest that was applied then
}

// rebalance returns why the micro-batches should be divided again; "": they need not. It is
// called at every tick. The gain has to be worthwhile at the beginning and at the end of
// the wait. In between it may be a little less, because measurements vary.
func (r *Roster) rebalance(now time.Time, live []*worker) (reason string) {
	step := uint64(0)
	for _, w := range live {
		if r.leaving(w) || !r.trains(w) {
			r.imbalance = imbalance{}
			return ""
		}
		step = max(step, w.beat.Step)
	}
	gain, reason := plan.Rebalance(r.plan, candidates(live))
	if gain <= plan.Hysteresis || r.intent.Stop || !r.ringBroken.IsZero() {
		r.imbalance = imbalance{}
		return ""
	}
	if gain <= plan.Worthwhile {
		return ""
	}
	if r.imbalance.since.IsZero() {
		r.imbalance = imbalance{now, step}
	}
	if now.Sub(r.imbalance.since) < r.imbalanceWait() || step < r.imbalance.step+imbalanceSteps || !r.rebalanced.IsZero() && now.Sub(r.rebalanced) < r.rebalancePause() {
		return ""
	}
	r.rebalanced, r.imbalance = now, imbalance{}
	return reason
}

// trains reports whether a member takes part in the steps of this generation.
func (r *Roster) trains(w *worker) bool {
	return w.beat.Generation == r.plan.Generation && (w.beat.State == wire.WorkerComputing || w.beat.State == wire.WorkerReducing)
}

// candidates returns workers in the form that package plan needs.
func candidates(members []*worker) []plan.Candidate {
	all := make([]plan.Candidate, len(members))
	for i, w := range members {
		all[i] = plan.Candidate{ID: w.reg.ID, Incarnation: w.reg.Incarnation, Mailbox: w.reg.Mailbox, Speed: w.speed()}
	}
	return all
}

// speed is the speed that a worker last measured; 0: none yet.
func (w *worker) speed() float64 {
	if w.beat.Speed > 0 {
		return float64(w.beat.Speed)
	}
	return float64(w.reg.Speed)
}
