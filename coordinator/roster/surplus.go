package roster

import (
	"slices"
	"time"
)

// drainSurplus drains workers that registered although the run has as many as it was scaled
// to, such as one that died just before it would have left and was restarted. To follow the
// run costs as many joules as to take part. A surplus worker stays for as long as it takes to
// notice the death of a member, because it may take that member's place.
func (r *Roster) drainSurplus(now time.Time, staying int) {
	i := r.intent
	i.Drain = slices.Clone(i.Drain)
	enough := i.Workers > 0 && staying >= i.Workers && !i.Stop && !r.finished
	for _, w := range r.sorted() {
		outside := w.registered && w.gone == "" && w.refusal == "" && r.rank(w.reg.Incarnation) < 0 && !r.leaving(w)
		switch {
		case !enough || !outside:
			w.surplusSince = time.Time{}
		case w.surplusSince.IsZero():
			w.surplusSince = now
		case now.Sub(w.surplusSince) >= r.startWait():
			i.Drain = append(i.Drain, w.reg.Incarnation)
		}
	}
	if len(i.Drain) > len(r.intent.Drain) {
		r.setIntent(i)
	}
}
