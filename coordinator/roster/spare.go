package roster

import (
	"slices"
	"time"
)

// dismiss asks workers to leave that came although the run has as many as it was scaled
// to: one that died just before it would have left, and was started again. Following
// the run costs as many joules as taking part. They stay for as long as it takes to
// notice that a member has died, whose place they may take.
func (r *Roster) dismiss(now time.Time, staying int) {
	i := r.intent
	i.Drain = slices.Clone(i.Drain)
	for _, w := range r.sorted() {
		switch {
		case i.Workers == 0 || staying < i.Workers || i.Stop, !w.registered || w.gone != "" || w.refused != "", r.rank(w.reg.Incarnation) >= 0 || r.leaving(w):
			w.spare = time.Time{}
		case w.spare.IsZero():
			w.spare = now
		case now.Sub(w.spare) >= r.settle():
			i.Drain = append(i.Drain, w.reg.Incarnation)
		}
	}
	if len(i.Drain) > len(r.intent.Drain) {
		r.put(i)
	}
}
