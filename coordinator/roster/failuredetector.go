package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// onSuspected weighs a suspicion.
func (r *Roster) onSuspected(now time.Time, s wire.Suspicion) {
	if s.Final {
		r.excuseLoss(s)
		for _, w := range r.sorted() {
			if w.reg.ID == s.Subject &&
				(w.reg.Incarnation == s.Incarnation || s.Incarnation == "" && w.registered && w.reg.PID == s.PID) {
				r.declareDead(w, s.Evidence, true)
			}
		}
		if s.PID != 0 {
			r.endedProcesses[s.Subject] = endedAt{s.PID, now}
		}
		return
	}
	if r.finished {
		return // members leave one after the other
	}
	if r.pending != nil {
		// Members that see the new plan first leave the old ring, which is no
		// evidence of their end. A true suspicion will be repeated.
		if s.Generation == r.pending.Generation {
			r.earlySuspicions = append(r.earlySuspicions, s)
		}
		return
	}
	from := r.memberNamed(s.From)
	service := s.From == wire.IDCheckpoint // the slices that it got make no state: members have to compare theirs
	if from == nil && !service || from != nil && from.gone != "" || s.Generation != r.plan.Generation {
		return
	}
	if r.ringBroken.IsZero() {
		r.ringBroken, r.ringTrouble = now, fmt.Sprintf("%s: %s", s.From, s.Evidence)
	}
	w := r.workers[s.Incarnation]
	if w == nil || w == from || w.gone != "" || w.reg.ID != s.Subject || r.rank(s.Incarnation) < 0 {
		return
	}
	if w.suspects == nil {
		w.suspects, w.probedAt = map[string]wire.Evidence{}, now
		r.emit(Probe{w.reg.ID, w.reg.Incarnation})
	}
	w.suspects[s.From] = s.Evidence
}

// memberNamed returns the member of an ID, or nil.
func (r *Roster) memberNamed(id string) *worker {
	for _, m := range r.plan.Members {
		if m.ID == id {
			return r.workers[m.Incarnation]
		}
	}
	return nil
}

func (r *Roster) onConnectionGone(e ConnectionGone) {
	if w := r.workers[e.Incarnation]; w != nil && len(w.suspects) > 0 && !w.reconnecting {
		r.declareDead(w, joinEvidence(w.suspects)+"; its connection to the coordinator is gone, too", false)
	}
}

// checkLiveness declares dead the members against which the evidence is complete.
func (r *Roster) checkLiveness(now time.Time) {
	for _, w := range r.members() {
		if !w.registered && r.replaced(w) {
			r.declareDead(w, wire.EvidenceReplaced, true)
		}
		if w.gone != "" {
			continue
		}
		silent := now.Sub(later(w.lastHeartbeat, w.memberSince))
		limit := r.patience(w)
		if !w.confirmed || w.reconnecting {
			limit = max(limit, r.grace())
		}
		quarter := r.answerWithin(w)
		switch {
		case w.reconnecting && silent < limit: // those that suspect it may have been cut off as well
		case len(r.fromLiving(w.suspects)) >= 2:
			r.declareDead(w, joinEvidence(r.fromLiving(w.suspects)), false)
		case len(r.fromLiving(w.suspects)) == 1 && now.Sub(w.probedAt) >= quarter && !w.lastHeartbeat.After(w.probedAt):
			r.declareDead(w, joinEvidence(w.suspects)+"; no answer within "+wire.Evidence(quarter.String()), false)
		case !w.registered && now.Sub(later(w.lastHeartbeat, w.unregisteredAt)) >= quarter:
			r.declareDead(w, wire.EvidenceUnregistered, false)
		case !w.deafSince.IsZero() && now.Sub(w.deafSince) >= quarter && othersHeard(r.members(), w, w.deafSince):
			r.declareDead(w, wire.EvidenceDeaf, false)
		case silent >= limit && othersHeard(r.sorted(), w, now.Add(-r.cfg.FailureTimeout/2)):
			r.declareDead(w, wire.EvidenceSilent+wire.Evidence(" for "+silent.Round(10*time.Millisecond).String()), false)
		}
	}
}

// replaced reports whether another incarnation holds the ID of a worker.
func (r *Roster) replaced(w *worker) bool {
	for _, o := range r.workers {
		if o != w && o.registered && o.reg.ID == w.reg.ID {
			return true
		}
	}
	return false
}

// fromLiving returns the suspicions of members that are not gone themselves.
func (r *Roster) fromLiving(suspects map[string]wire.Evidence) map[string]wire.Evidence {
	out := map[string]wire.Evidence{}
	for from, evidence := range suspects {
		if w := r.memberNamed(from); w != nil && w.gone == "" {
			out[from] = evidence
		}
	}
	return out
}

// othersHeard reports whether a worker other than w sent a heartbeat after a time. If
// none did, the coordinator may be cut off, or all are as silent as w.
func othersHeard(some []*worker, w *worker, after time.Time) bool {
	return slices.ContainsFunc(some, func(o *worker) bool {
		return o != w && o.gone == "" && o.lastHeartbeat.After(after)
	})
}

// declareDead records that an incarnation is gone. If the evidence is not final, a heartbeat
// that comes before a plan leaves the incarnation out takes that back.
func (r *Roster) declareDead(w *worker, evidence wire.Evidence, final bool) {
	if w.final {
		return
	}
	w.final = final
	if w.gone == "" {
		w.gone = evidence
		if r.finished {
			w.gone = wire.EvidenceFinished
		}
	}
	if final && w.registered {
		r.emit(Evict{w.reg.ID, w.reg.Incarnation}) // the process that follows it needs the ID
	}
}

// lossReasons says why members of the plan are gone.
func (r *Roster) lossReasons() []string {
	var all []string
	for _, w := range r.members() {
		if w.gone != "" && w.gone != wire.EvidenceFinished {
			all = append(all, fmt.Sprintf("%s is gone: %s", w.reg.ID, w.gone))
		}
	}
	return all
}

// joinEvidence joins the evidence against a worker in one line.
func joinEvidence(suspects map[string]wire.Evidence) wire.Evidence {
	var all []string
	for _, from := range slices.Sorted(maps.Keys(suspects)) {
		all = append(all, from+": "+string(suspects[from]))
	}
	return wire.Evidence(strings.Join(all, ", "))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
