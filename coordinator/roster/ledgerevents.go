package roster

import (
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// maxUnacknowledged bounds how many events a plan carries; the oldest are dropped first.
const maxUnacknowledged = 64

// events are the entries of the ledger for a plan that follows another.
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

// key names an event.
func key(kind wire.EventKind, of string, number uint64) string {
	return fmt.Sprintf("%s/%s/%d", kind, of, number)
}

// recordLineage records from where a member's state was trained, once.
func (r *Roster) recordLineage(l wire.Lineage) {
	if l.Generation == 0 || l.Session == r.lineage.Session && l.Generation == r.lineage.Generation {
		return
	}
	r.lineage = l
	r.record([]wire.Event{l.Event()})
}

// carried are the events that a plan carries: those that are not acknowledged yet, and
// its own.
func carried(unacknowledged, own []wire.Event) []wire.Event {
	all := slices.Concat(unacknowledged, own)
	return all[max(0, len(all)-maxUnacknowledged):]
}

// record sends events to the ledger, and remembers them until they are acknowledged.
func (r *Roster) record(all []wire.Event) {
	r.unacknowledged = carried(r.unacknowledged, all)
	for _, e := range all {
		r.emit(Record{e})
	}
}

// recordCarried records the events that a stored plan carries: the coordinator that wrote it
// may have died before the ledger had them. The ledger counts each once.
func (r *Roster) recordCarried(p wire.Plan) {
	r.unacknowledged = nil
	r.record(p.Events)
}

func (r *Roster) onAcknowledged(keys []string) {
	r.unacknowledged = slices.DeleteFunc(r.unacknowledged, func(e wire.Event) bool { return slices.Contains(keys, e.Key) })
}
