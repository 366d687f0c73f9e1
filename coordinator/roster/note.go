package roster

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// mostUntold bounds how many events a plan carries on; the oldest go first.
const mostUntold = 64

// events is what the ledger is to hold of a plan that follows another.
func events(p, before wire.Plan) []wire.Event {
	ids := make([]string, len(p.Members))
	for i, m := range p.Members {
		ids[i] = m.ID
	}
	all := []wire.Event{{
		Key: key(wire.EventMembership, p.Session, p.Generation), Kind: wire.EventMembership,
		Generation: p.Generation, Members: ids, Reason: p.Reason,
	}}
	if p.Mixed && (!before.Mixed || p.Session != before.Session) {
		all = append(all, wire.Event{
			Key: key(wire.EventMixed, p.Session, 0), Kind: wire.EventMixed, Generation: p.Generation,
			Reason: "workers of different arithmetic take part, or took part: the result is not reproducible",
		})
	}
	return all
}

// began notes from where a member says that training began, once.
func (r *Roster) began(b wire.Lineage) {
	if b.Generation == 0 || b.Session == r.begun.Session && b.Generation == r.begun.Generation {
		return
	}
	r.begun = b
	r.note([]wire.Event{b.Event()})
}

// carryOn are events that a plan is to carry: those that nobody is known to have
// acknowledged, and its own.
func carryOn(untold, own []wire.Event) []wire.Event {
	all := slices.Concat(untold, own)
	return all[max(0, len(all)-mostUntold):]
}

// note tells the ledger of events, and remembers them until it has them.
func (r *Roster) note(all []wire.Event) {
	r.untold = carryOn(r.untold, all)
	for _, e := range all {
		r.emit(Note{e})
	}
}

// recall notes what a stored plan carries. Whoever wrote it may have died before the
// ledger heard of it; what it heard counts once.
func (r *Roster) recall(p wire.Plan) {
	r.untold = nil
	r.note(p.Events)
}

func (r *Roster) onTold(keys []string) {
	r.untold = slices.DeleteFunc(r.untold, func(e wire.Event) bool { return slices.Contains(keys, e.Key) })
}
