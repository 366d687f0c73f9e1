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

// decide writes the next plan where one is due, and says how the run is.
func (r *Roster) decide(now time.Time, may bool) {
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
	newcomers := r.newcomers(now, staying)
	switch {
	case r.over:
		r.decideOver(now, live, newcomers, may)
	case len(live) == 0:
		r.decideStart(now, newcomers, may)
	default:
		r.dismiss(now, staying)
		r.decideNext(now, live, newcomers, may)
	}
}

// decideStart begins a session once enough workers are there.
func (r *Roster) decideStart(now time.Time, newcomers []*worker, may bool) {
	print, pool := r.settleFingerprint(newcomers)
	want := r.cfg.Workers.Max
	if r.intent.Workers > 0 {
		want = r.intent.Workers
		pool = pool[:min(len(pool), want)]
	}
	if before := len(r.plan.Members); before > 0 {
		want = min(want, max(before, r.cfg.Workers.Min)) // others join while these go on
	}
	// A run that is to stop does so with whoever is there.
	enough := len(pool) >= want || r.intent.Stop || len(pool) >= r.cfg.Workers.Min && now.Sub(r.came) >= r.settle()
	if !enough || len(pool) == 0 || !may {
		r.tell(wire.StateWaiting, r.missing(len(pool), want))
		return
	}
	base := r.plan
	base.Fingerprint, base.Mixed = print, base.Mixed || r.origin.Mixed
	reason := fmt.Sprintf("start with %s", words.Several(len(pool), "worker"))
	r.write(base, pool, strings.Join(append(r.lost(), reason), "; "))
}

// missing says what the start waits for.
func (r *Roster) missing(have, want int) string {
	refused, first := 0, ""
	for _, w := range r.sorted() {
		if w.registered && w.refused != "" {
			if refused++; refused == 1 {
				first = fmt.Sprintf("%s: %s", w.reg.ID, w.refused)
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

// decideNext goes on with the members that live.
func (r *Roster) decideNext(now time.Time, live, newcomers []*worker, may bool) {
	var stay, leave []*worker
	for _, w := range live {
		if r.leaving(w) && !r.intent.Stop {
			leave = append(leave, w)
		} else {
			stay = append(stay, w)
		}
	}
	room := len(newcomers)
	if r.intent.Workers > 0 {
		room = max(0, min(room, r.intent.Workers-len(stay)))
	}
	joining := newcomers[:room]
	if len(stay) == 0 && len(joining) == 0 {
		// Whoever leaves last takes the only state along: store it.
		r.stop("every worker is leaving")
		stay, leave = live, nil
	}
	reasons := r.lost()
	waits := slices.ContainsFunc(live, func(w *worker) bool { return r.leaving(w) && r.holding(w) })
	switch {
	case !waits:
		stay, leave = append(stay, leave...), nil
	case len(leave) == 0:
		reasons = append(reasons, "the run is to stop")
	default:
		// One that has yet to hear that it is asked to leave would come back.
		unaware := func(w *worker) bool { return !w.reg.Draining }
		for _, w := range leave {
			if unaware(w) {
				stay = append(stay, w)
			}
		}
		leave = slices.DeleteFunc(leave, unaware)
		if len(stay) == 0 || slices.ContainsFunc(stay, func(w *worker) bool { return !r.holding(w) }) {
			// Who leaves takes its state along: those who stay must have it, too.
			stay, leave = append(stay, leave...), nil
		}
		for _, w := range leave {
			reasons = append(reasons, w.reg.ID+" left: it was asked to")
		}
	}
	if !r.broken.IsZero() && now.Sub(r.broken) >= r.cfg.FailureTimeout/4 && len(reasons) == 0 {
		reasons = append(reasons, "the ring broke: "+r.trouble)
	}
	if way := r.way(stay); len(stay) > 1 && way == wire.RingBroker && r.plan.Ring != way {
		reasons = append(reasons, "members do not reach each other: the ring goes through NATS")
	}
	if len(reasons) > 0 || r.batched(now, joining) {
		for _, w := range joining {
			reasons = append(reasons, w.reg.ID+" joined")
		}
		stay = append(stay, joining...)
	}
	if len(reasons) == 0 && r.tick && may && len(leave) == 0 {
		var why string
		if stay, why = r.presence(now, stay); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 && r.tick && may {
		if why := r.rebalance(now, live); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		r.tellRunning(live)
		return
	}
	if len(stay) < r.cfg.Workers.Min && !r.intent.Stop {
		lack := fmt.Sprintf("%s; %s left, at least %d needed", strings.Join(reasons, "; "), words.Several(len(stay), "worker"), r.cfg.Workers.Min)
		r.tell(wire.StateWaiting, lack)
		if len(leave) > 0 && may {
			r.write(r.plan, nil, lack) // lets those go that were asked to
		}
		return
	}
	if may {
		r.write(r.plan, stay, strings.Join(reasons, "; "))
	}
}

// holding reports whether a member waits between two steps.
func (r *Roster) holding(w *worker) bool {
	return w.beat.State == wire.WorkerHolding && w.beat.Generation == r.plan.Generation
}

// batched reports whether newcomers have waited for each other.
func (r *Roster) batched(now time.Time, joining []*worker) bool {
	for _, w := range joining {
		if now.Sub(w.ready) < r.batch() {
			return false
		}
	}
	return len(joining) > 0
}

func (r *Roster) tellRunning(live []*worker) {
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
	r.tell(state, reason)
}

// decideOver lets workers that came late, or that were left alone in the last
// moment, find out that the run has ended: by a generation of their own.
func (r *Roster) decideOver(now time.Time, live, newcomers []*worker, may bool) {
	if r.committed >= r.cfg.Steps {
		r.tell(wire.StateDone, "all steps are done and stored")
	} else {
		r.tell(wire.StateStopped, r.intent.Reason)
	}
	trains := slices.ContainsFunc(live, func(w *worker) bool { return w.beat.State != wire.WorkerStopped })
	there := slices.ContainsFunc(live, func(w *worker) bool { return w.beat.Step >= r.committed })
	stuck := trains && (!there || len(live) < len(r.plan.Members))
	i := r.intent
	i.Drain = slices.Clone(i.Drain)
	// Who has not the last state would train the rest once more.
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
		r.put(i)
	}
	if (stuck || r.batched(now, late)) && may {
		r.write(r.plan, append(live, late...), "the run has ended")
	}
}

// write decides on a plan.
func (r *Roster) write(base wire.Plan, members []*worker, reason string) {
	stays := func(w *worker) bool { return r.rank(w.reg.Incarnation) >= 0 }
	if len(members) > 0 && !slices.ContainsFunc(members, stays) {
		base.Session = fmt.Sprintf("%s-%d", r.nonce, base.Generation+1)
	}
	for _, w := range members {
		base.Mixed = base.Mixed || w.reg.Fingerprint != base.Fingerprint
	}
	p := plan.Make(base, candidates(members), r.cfg.MicroBatches, reason)
	p.Ring, p.Patience = r.way(members), number.Float(r.slowestLink(members))
	p.Since, p.Stored = r.last.UTC().Round(0), r.committed
	p.LostMembers = len(r.lost()) > 0 || slices.ContainsFunc(r.members(), func(w *worker) bool { // with what it had computed
		return w.gone == "" && !r.leaving(w) && !slices.Contains(members, w)
	})
	p.Events = carryOn(r.untold, events(p, r.plan))
	r.pending = &p
	r.emit(WritePlan{p})
}

// way is how the members of a plan exchange frames. All hear it from the plan:
// what each found out for itself they could not agree on without one.
func (r *Roster) way(members []*worker) string {
	apart := slices.ContainsFunc(members, func(w *worker) bool { return w.reg.Ring == wire.RingBroker })
	if r.cfg.Ring == wire.RingBroker || r.cfg.Ring == runspec.RingAuto && apart {
		return wire.RingBroker
	}
	return ""
}
