package roster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
)

// onRequested answers a request of a user.
func (r *Roster) onRequested(e Requested) {
	var err error
	switch c := e.Control; {
	case !r.elected || !r.registrationsKnown:
		err = fmt.Errorf("this coordinator has only just taken over: ask again in a moment")
	case c.Verb == wire.VerbStop:
		r.stop(c.Reason)
	case c.Verb == wire.VerbDrain:
		err = r.drain(c.Worker)
	case c.Verb == wire.VerbScale:
		err = r.scale(c.Count)
	default:
		err = fmt.Errorf("unknown request %q: %s, %s and %s are known", c.Verb, wire.VerbStop, wire.VerbDrain, wire.VerbScale)
	}
	reply := Reply{Token: e.Token}
	if err != nil {
		reply.Error = err.Error()
	}
	r.emit(reply)
}

// setIntent makes an intent the current one, without drains of processes that are gone.
func (r *Roster) setIntent(i wire.Intent) {
	i.Drain = slices.DeleteFunc(slices.Clone(i.Drain), func(in string) bool {
		w := r.workers[in]
		return w == nil || w.gone != "" || !w.registered
	})
	r.intent = i
	r.emit(WriteIntent{i})
}

// stop asks the run to end with the next step.
func (r *Roster) stop(reason string) {
	if r.intent.Stop {
		return
	}
	i := r.intent
	i.Stop, i.Reason = true, reason
	if reason == "" {
		i.Reason = "asked to stop"
	}
	r.setIntent(i)
}

// remaining lists the workers that are not asked to leave, by ID.
func (r *Roster) remaining() []*worker {
	return slices.DeleteFunc(r.sorted(), func(w *worker) bool {
		return !w.registered || w.gone != "" || w.refusal != "" || r.leaving(w)
	})
}

// drain asks a worker to leave after the next step.
func (r *Roster) drain(id string) error {
	var ids []string
	for _, w := range r.sorted() {
		if !w.registered || w.gone != "" {
			continue
		}
		if w.reg.ID != id {
			ids = append(ids, w.reg.ID)
			continue
		}
		if r.leaving(w) {
			return nil
		}
		if left := len(r.remaining()) - 1; left < r.cfg.Workers.Min && w.refusal == "" {
			return fmt.Errorf("drain %s: %s would be left, the minimum is %d", id, words.Several(left, "worker"), r.cfg.Workers.Min)
		}
		i := r.intent
		i.Drain = append(slices.Clone(i.Drain), w.reg.Incarnation)
		r.setIntent(i)
		return nil
	}
	if len(ids) == 0 {
		return fmt.Errorf("drain %s: there is no worker", id)
	}
	return fmt.Errorf("drain %s: no such worker; there are %s", id, strings.Join(ids, ", "))
}

// scale sets how many workers take part. Surplus workers leave, those with the highest
// rank first.
func (r *Roster) scale(n int) error {
	if w := r.cfg.Workers; n < w.Min || n > w.Max {
		return fmt.Errorf("scale to %d: this run was started with --workers %s", n, w)
	}
	i := r.intent
	i.Workers, i.Drain = n, slices.Clone(i.Drain)
	i.Scales++
	staying := r.remaining()
	rankOf := func(w *worker) int {
		if rank := r.rank(w.reg.Incarnation); rank >= 0 {
			return rank
		}
		return len(r.plan.Members)
	}
	slices.SortStableFunc(staying, func(a, b *worker) int { return rankOf(a) - rankOf(b) })
	for _, w := range staying[min(n, len(staying)):] {
		i.Drain = append(i.Drain, w.reg.Incarnation)
	}
	r.setIntent(i)
	return nil
}
