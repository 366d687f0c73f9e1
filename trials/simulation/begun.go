package simulation

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// beginnings is what the oracle knows of work that was lost: where training began
// anew, whether the ledger heard of it, and what was computed before.
type beginnings struct {
	o       *oracle
	stores  uint64            // how many there were: generations come again with each
	store   map[string]uint64 // by session, the one that it belongs to
	reached map[uint64]age    // by step, the newest generation that applied it
	all     []wire.Lineage    // every beginning, once
	told    map[wire.Lineage]bool
	units   []unit
}

// age orders the generations of all stores.
type age struct{ store, generation uint64 }

func (a age) before(b age) bool {
	return a.store < b.store || a.store == b.store && a.generation < b.generation
}

// unit is a micro-batch that somebody began to compute.
type unit struct {
	step uint64
	at   time.Time
}

func newBeginnings(o *oracle) *beginnings {
	return &beginnings{o: o, store: map[string]uint64{}, reached: map[uint64]age{}, told: map[wire.Lineage]bool{}}
}

func (b *beginnings) planned(p wire.Plan) { b.store[p.Session] = b.stores }

// applied sees that members of a generation completed a step.
func (b *beginnings) applied(k *worker, number uint64) {
	if k.machine.State() != wire.WorkerReducing {
		return // fetched from one who did
	}
	k.trained = true
	if now := (age{b.stores, k.machine.Generation()}); b.reached[number].before(now) {
		b.reached[number] = now
	}
}

// begins sees a member say that its state was not trained by any, and training begins
// with it.
func (b *beginnings) begins(k *worker) {
	begun := k.machine.Lineage()
	for _, other := range b.all {
		if other.Session == begun.Session && other.Generation == begun.Generation {
			if other != begun {
				b.o.w.fail("members disagree about where training began: %+v, %+v", other, begun)
			}
			return
		}
	}
	for _, m := range k.machine.Plan().Members {
		o, ok := b.o.w.process(m.ID).role.(*worker)
		if ok && o.reg.Incarnation == m.Incarnation && o.trained && o.State.Step >= begun.From {
			b.o.w.fail("training begins anew after step %d, and %s has trained to step %d", begun.From, m.Incarnation, o.State.Step)
		}
	}
	b.o.w.say("training begins after step %d", begun.From)
	b.all = append(b.all, begun)
}

// computes sees a step computed. Where all that had come further are gone, training
// must have begun anew since.
func (b *beginnings) computes(k *worker, number uint64) {
	b.units = append(b.units, unit{number, b.o.w.time()})
	further, ok := b.reached[number+1]
	if !ok || k.machine.Generation() < uint64(len(b.o.plans)) {
		return // or who computes has yet to learn that others go on
	}
	begun := k.machine.Lineage()
	if began := (age{b.store[begun.Session], begun.Generation}); !further.before(began) || begun.From >= number {
		b.o.w.fail("%s computes step %d again: step %d was done, and training is said to have begun after step %d", k.reg.Incarnation, number, number+1, begun.From)
	}
}

// hears sees that the ledger is told of a beginning.
func (b *beginnings) hears(begun wire.Lineage) { b.told[begun] = true }

// end sees that the ledger counts as lost what was lost. It may miss a beginning of
// which it never heard and from which nothing came: the run went on, or ended, with a
// state that was trained before, by one who was not there or on its way to the disk.
func (b *beginnings) end() {
	for i := len(b.all) - 1; i >= 0; i-- {
		if !b.told[b.all[i]] && (i == len(b.all)-1 || b.all[i+1].From > b.all[i].From) {
			b.all = slices.Delete(b.all, i, i+1)
		}
	}
	lost := func(u unit, counts func(wire.Lineage) bool) bool {
		for _, begun := range b.all {
			if begun.Since.After(u.at) && begun.From < u.step && counts(begun) {
				return true
			}
		}
		return false
	}
	for _, u := range b.units {
		was := lost(u, func(wire.Lineage) bool { return true })
		if was != lost(u, func(begun wire.Lineage) bool { return b.told[begun] }) {
			b.o.w.fail("work on step %d was lost, and the ledger does not tell", u.step)
		}
	}
}
