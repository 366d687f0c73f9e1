package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// onSuspected weighs what somebody says of a worker.
func (r *Roster) onSuspected(now time.Time, s wire.Suspicion) {
	if s.Final {
		r.excuse(s)
		for _, w := range r.sorted() {
			if w.reg.ID == s.Subject &&
				(w.reg.Incarnation == s.Incarnation || s.Incarnation == "" && w.registered && w.reg.PID == s.PID) {
				r.bury(w, s.Evidence, true)
			}
		}
		if s.PID != 0 {
			r.dead[s.Subject] = death{s.PID, now}
		}
		return
	}
	if r.over {
		return // they leave one after the other
	}
	if r.pending != nil {
		// Members that see the new plan first leave the ring of the one before,
		// which is no sign of their end. What is true will be said again.
		if s.Generation == r.pending.Generation {
			r.early = append(r.early, s)
		}
		return
	}
	from := r.memberNamed(s.From)
	service := s.From == wire.IDCheckpoint // it saw slices that make no state: all shall compare
	if from == nil && !service || from != nil && from.gone != "" || s.Generation != r.plan.Generation {
		return
	}
	if r.broken.IsZero() {
		r.broken, r.trouble = now, fmt.Sprintf("%s: %s", s.From, s.Evidence)
	}
	w := r.workers[s.Incarnation]
	if w == nil || w == from || w.gone != "" || w.reg.ID != s.Subject || r.rank(s.Incarnation) < 0 {
		return
	}
	if w.suspects == nil {
		w.suspects, w.asked = map[string]wire.Evidence{}, now
		r.emit(Ask{w.reg.ID, w.reg.Incarnation})
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
	if w := r.workers[e.Incarnation]; w != nil && len(w.suspects) > 0 && !w.awaited {
		r.bury(w, said(w.suspects)+"; its connection to the coordinator is gone, too", false)
	}
}

// examine completes the evidence against members, as far as time does.
func (r *Roster) examine(now time.Time) {
	for _, w := range r.members() {
		if !w.registered && r.displaced(w) {
			r.bury(w, wire.EvidenceReplaced, true)
		}
		if w.gone != "" {
			continue
		}
		silent := now.Sub(later(w.heard, w.joined))
		limit := r.patience(w)
		if !w.confirmed || w.awaited {
			limit = max(limit, r.grace())
		}
		quarter := r.answerWithin(w)
		switch {
		case w.awaited && silent < limit: // who suspects it may have been cut off as well
		case len(r.standing(w.suspects)) >= 2:
			r.bury(w, said(r.standing(w.suspects)), false)
		case len(r.standing(w.suspects)) == 1 && now.Sub(w.asked) >= quarter && !w.heard.After(w.asked):
			r.bury(w, said(w.suspects)+"; no answer within "+wire.Evidence(quarter.String()), false)
		case !w.registered && now.Sub(later(w.heard, w.ended)) >= quarter:
			r.bury(w, wire.EvidenceUnregistered, false)
		case !w.deaf.IsZero() && now.Sub(w.deaf) >= quarter && hears(r.members(), w, w.deaf):
			r.bury(w, wire.EvidenceDeaf, false)
		case silent >= limit && hears(r.sorted(), w, now.Add(-r.cfg.FailureTimeout/2)):
			r.bury(w, wire.EvidenceSilent+wire.Evidence(" for "+silent.Round(10*time.Millisecond).String()), false)
		}
	}
}

// displaced reports whether another incarnation holds a worker's ID.
func (r *Roster) displaced(w *worker) bool {
	for _, o := range r.workers {
		if o != w && o.registered && o.reg.ID == w.reg.ID {
			return true
		}
	}
	return false
}

// standing are the suspicions of members that are not gone themselves.
func (r *Roster) standing(suspects map[string]wire.Evidence) map[string]wire.Evidence {
	out := map[string]wire.Evidence{}
	for from, evidence := range suspects {
		if w := r.memberNamed(from); w != nil && w.gone == "" {
			out[from] = evidence
		}
	}
	return out
}

// hears reports whether any of some workers but w was heard after a time. If not, it
// is the roster that does not hear, or nobody is better off than w.
func hears(some []*worker, w *worker, after time.Time) bool {
	return slices.ContainsFunc(some, func(o *worker) bool {
		return o != w && o.gone == "" && o.heard.After(after)
	})
}

// bury records that an incarnation is gone: for good if the evidence is final,
// otherwise until it is heard of again with no plan made meanwhile.
func (r *Roster) bury(w *worker, evidence wire.Evidence, final bool) {
	if w.final {
		return
	}
	w.final = final
	if w.gone == "" {
		w.gone = evidence
		if r.over {
			w.gone = wire.EvidenceFinished
		}
	}
	if final && w.registered {
		r.emit(Evict{w.reg.ID, w.reg.Incarnation}) // whoever follows it needs the ID
	}
}

// lost says why members of the plan are gone.
func (r *Roster) lost() []string {
	var all []string
	for _, w := range r.members() {
		if w.gone != "" && w.gone != wire.EvidenceFinished {
			all = append(all, fmt.Sprintf("%s is gone: %s", w.reg.ID, w.gone))
		}
	}
	return all
}

// said puts what suspects say in one line.
func said(suspects map[string]wire.Evidence) wire.Evidence {
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
