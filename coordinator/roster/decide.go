package roster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/coordinator/plan"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// decide writes the next plan if one is due, and reports the state of the run. canWrite is
// false if a plan must not be written now.
func (r *Roster) decide(now time.Time, canWrite bool) {
	if r.pending != nil {
		return
	}
	var live []*worker
	staying := 0
	for _, w := range r.members() {
		if w.gone != "" {
			continue
		}
		live = append(live, w)
		if !r.leaving(w) {
			staying++
		}
	}
	r.drainSurplus(now, staying)
	newcomers := r.newcomers(now, staying)
	switch {
	case r.finished:
		r.decideFinished(now, live, newcomers, canWrite)
	case len(live) == 0:
		r.decideStart(now, newcomers, canWrite)
	default:
		r.decideNext(now, live, newcomers, canWrite)
	}
}

// decideStart begins a session once enough workers are registered.
func (r *Roster) decideStart(now time.Time, newcomers []*worker, canWrite bool) {
	fingerprint, pool := r.decideFingerprint(newcomers)
	want := r.cfg.Workers.Max
	if r.intent.Workers > 0 {
		want = r.intent.Workers
		pool = pool[:min(len(pool), want)]
	}
	if before := len(r.plan.Members); before > 0 {
		want = min(want, max(before, r.cfg.Workers.Min)) // others join while these go on
	}
	// A run that is to stop does so with the workers that it has.
	enough := len(pool) >= want || r.intent.Stop || len(pool) >= r.cfg.Workers.Min && now.Sub(r.lastArrival) >= r.startWait()
	if !enough || len(pool) == 0 || !canWrite {
		r.setState(wire.StateWaiting, r.startReason(len(pool), want))
		return
	}
	base := r.plan
	base.Fingerprint, base.Mixed = fingerprint, base.Mixed || r.origin.Mixed
	reason := fmt.Sprintf("start with %s", words.Several(len(pool), "worker"))
	r.writePlan(base, pool, strings.Join(append(r.lossReasons(), reason), "; "))
}

// startReason says how many workers the start waits for.
func (r *Roster) startReason(have, want int) string {
	refused, first := 0, ""
	for _, w := range r.sorted() {
		if w.registered && w.refusal != "" {
			if refused++; refused == 1 {
				first = fmt.Sprintf("%s: %s", w.reg.ID, w.refusal)
			}
		}
	}
	text := fmt.Sprintf("%d of %s here, at least %d needed", have, words.Several(want, "worker"), r.cfg.Workers.Min)
	if have >= r.cfg.Workers.Min {
		text = fmt.Sprintf("%d of %s here, waiting a moment for more", have, words.Several(want, "worker"))
	}
	if refused > 0 {
		text += fmt.Sprintf("; %d refused, %s", refused, first)
	}
	return text
}

// decideNext continues with the live members.
func (r *Roster) decideNext(now time.Time, live, newcomers []*worker, canWrite bool) {
	stayers := slices.DeleteFunc(slices.Clone(live), func(w *worker) bool { return r.leaving(w) && !r.intent.Stop })
	joining := newcomers
	if r.intent.Workers > 0 {
		joining = newcomers[:max(0, min(len(newcomers), r.intent.Workers-len(stayers)))]
	}
	if len(stayers) == 0 && len(joining) == 0 {
		r.stop("every worker is leaving") // the last one would take the only state along: store it
	}
	stay, leave, reasons := r.departures(live)
	if !r.ringBroken.IsZero() && now.Sub(r.ringBroken) >= r.cfg.FailureTimeout/4 && len(reasons) == 0 {
		reasons = append(reasons, "the ring broke: "+r.ringTrouble)
	}
	if ring := r.ringOf(stay); len(stay) > 1 && ring == wire.RingBroker && r.plan.Ring != ring {
		reasons = append(reasons, "members do not reach each other: the ring goes through NATS")
	}
	if len(reasons) > 0 || r.batchReady(now, joining) {
		for _, w := range joining {
			reasons = append(reasons, w.reg.ID+" joined")
		}
		stay = append(stay, joining...)
	}
	if len(reasons) == 0 && r.tick && canWrite && len(leave) == 0 {
		var why string
		if stay, why = r.leaveOutSlow(now, stay); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 && r.tick && canWrite {
		if why := r.rebalance(now, live); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		r.setRunning(live)
		return
	}
	if len(stay) < r.cfg.Workers.Min && !r.intent.Stop {
		lack := fmt.Sprintf("%s; %s left, at least %d needed", strings.Join(reasons, "; "), words.Several(len(stay), "worker"), r.cfg.Workers.Min)
		r.setState(wire.StateWaiting, lack)
		if len(leave) > 0 && canWrite {
			r.writePlan(r.plan, nil, lack) // lets the drained members go
		}
		return
	}
	if canWrite {
		r.writePlan(r.plan, stay, strings.Join(reasons, "; "))
	}
}

// departures divides the live members into those that stay and those that leave with the
// next plan. It returns the reasons for such a plan: the members that are gone, and those
// that leave. A member that is asked to leave does so between two steps, while it holds.
func (r *Roster) departures(live []*worker) (stay, leave []*worker, reasons []string) {
	for _, w := range live {
		if r.leaving(w) && !r.intent.Stop {
			leave = append(leave, w)
		} else {
			stay = append(stay, w)
		}
	}
	reasons = r.lossReasons()
	switch holds := slices.ContainsFunc(live, func(w *worker) bool { return r.leaving(w) && r.holding(w) }); {
	case !holds:
		return append(stay, leave...), nil, reasons
	case len(leave) == 0:
		return stay, nil, append(reasons, "the run is to stop")
	}
	// A worker that has yet to hear that it is asked to leave would come back.
	unaware := func(w *worker) bool { return !w.reg.Draining }
	for _, w := range leave {
		if unaware(w) {
			stay = append(stay, w)
		}
	}
	leave = slices.DeleteFunc(leave, unaware)
	if len(stay) == 0 || slices.ContainsFunc(stay, func(w *worker) bool { return !r.holding(w) }) {
		// The members that stay must have the state that the others take along.
		return append(stay, leave...), nil, reasons
	}
	for _, w := range leave {
		reasons = append(reasons, w.reg.ID+" left: it was asked to")
	}
	return stay, leave, reasons
}

// holding reports whether a member waits between two steps.
func (r *Roster) holding(w *worker) bool {
	return w.beat.State == wire.WorkerHolding && w.beat.Generation == r.plan.Generation
}

// batchReady reports whether newcomers have waited for each other.
func (r *Roster) batchReady(now time.Time, joining []*worker) bool {
	for _, w := range joining {
		if now.Sub(w.readySince) < r.batchWait() {
			return false
		}
	}
	return len(joining) > 0
}

func (r *Roster) setRunning(live []*worker) {
	state := wire.StateTraining
	for _, w := range live {
		if r.intent.Stop || w.beat.State == wire.WorkerStopped {
			state = wire.StateStopping
		}
	}
	reason := r.plan.Reason
	if r.intent.Stop {
		reason = r.intent.Reason
	}
	r.setState(state, reason)
}

// decideFinished gives a generation of their own to workers that came late, or that lost the
// others at the last moment: by it they find out that the run has ended.
func (r *Roster) decideFinished(now time.Time, live, newcomers []*worker, canWrite bool) {
	if r.committed >= r.cfg.Steps {
		r.setState(wire.StateDone, "all steps are done and stored")
	} else {
		r.setState(wire.StateStopped, r.intent.Reason)
	}
	trains := slices.ContainsFunc(live, func(w *worker) bool { return w.beat.State != wire.WorkerStopped })
	there := slices.ContainsFunc(live, func(w *worker) bool { return w.beat.Step >= r.committed })
	stuck := trains && (!there || len(live) < len(r.plan.Members))
	i := r.intent
	i.Drain = slices.Clone(i.Drain)
	// A worker without the last state would train the rest once more.
	ahead := func(all []*worker) (there []*worker) {
		for _, w := range all {
			switch {
			case w.beat.Step >= r.committed:
				there = append(there, w)
			case !r.leaving(w):
				i.Drain = append(i.Drain, w.reg.Incarnation)
			}
		}
		return there
	}
	late := ahead(newcomers)
	if stuck {
		live = ahead(live)
	}
	if len(i.Drain) > len(r.intent.Drain) {
		r.setIntent(i)
	}
	if (stuck || r.batchReady(now, late)) && canWrite {
		r.writePlan(r.plan, append(live, late...), "the run has ended")
	}
}

// writePlan makes a plan and has it stored.
func (r *Roster) writePlan(base wire.Plan, members []*worker, reason string) {
	stays := func(w *worker) bool { return r.rank(w.reg.Incarnation) >= 0 }
	if len(members) > 0 && !slices.ContainsFunc(members, stays) {
		base.Session = fmt.Sprintf("%s-%d", r.nonce, base.Generation+1)
	}
	for _, w := range members {
		base.Mixed = base.Mixed || w.reg.Fingerprint != base.Fingerprint
	}
	p := plan.Make(base, candidates(members), r.cfg.MicroBatches, reason)
	p.Ring, p.Patience = r.ringOf(members), number.Float(r.planPatience(members))
	p.Since, p.Stored = r.lastEvent.UTC().Round(0), r.committed
	p.LostMembers = len(r.lossReasons()) > 0 || slices.ContainsFunc(r.members(), func(w *worker) bool { // with what it had computed
		return w.gone == "" && !r.leaving(w) && !slices.Contains(members, w)
	})
	p.Events = carried(r.unacknowledged, events(p, r.plan))
	r.pending = &p
	r.emit(WritePlan{p})
}

// ringOf returns the route by which the members of a plan exchange frames. All take it from
// the plan, because each has measured only its own connections.
func (r *Roster) ringOf(members []*worker) string {
	unreachable := slices.ContainsFunc(members, func(w *worker) bool { return w.reg.Ring == wire.RingBroker })
	if r.cfg.Ring == wire.RingBroker || r.cfg.Ring == runspec.RingAuto && unreachable {
		return wire.RingBroker
	}
	return ""
}
