package simulation

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// lineageOracle knows which work was lost: where lineages began, whether the ledger was
// told of them, and what was computed before.
type lineageOracle struct {
	o       *oracle
	stores  uint64            // how many there were: generations start again with each
	store   map[string]uint64 // by session, the store to which it belongs
	reached map[uint64]age    // by step, the newest generation that applied it
	all     []wire.Lineage    // every lineage, once
	told    map[wire.Lineage]bool
	units   []unit
}

// age orders the generations of all stores.
type age struct{ store, generation uint64 }

func (a age) before(b age) bool {
	return a.store < b.store || a.store == b.store && a.generation < b.generation
}

// unit is a micro-batch that some worker started to compute.
type unit struct {
	step uint64
	at   time.Time
}

func newLineageOracle(o *oracle) *lineageOracle {
	return &lineageOracle{o: o, store: map[string]uint64{}, reached: map[uint64]age{}, told: map[wire.Lineage]bool{}}
}

func (b *lineageOracle) planned(p wire.Plan) { b.store[p.Session] = b.stores }

// applied sees that members of a generation completed a step.
func (b *lineageOracle) applied(k *worker, number uint64) {
	if k.machine.State() != wire.WorkerReducing {
		return // fetched from a member that did
	}
	k.trained = true
	if now := (age{b.stores, k.machine.Generation()}); b.reached[number].before(now) {
		b.reached[number] = now
	}
}

// begins sees a lineage begin: no member has a trained state.
func (b *lineageOracle) begins(k *worker) {
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
			b.o.w.fail("training begins again after step %d, and %s has trained to step %d", begun.From, m.Incarnation, o.State.Step)
		}
	}
	b.o.w.say("training begins after step %d", begun.From)
	b.all = append(b.all, begun)
}

// computes sees a step computed. If all members that came further are lost, another
// lineage must have begun since.
func (b *lineageOracle) computes(k *worker, number uint64) {
	b.units = append(b.units, unit{number, b.o.w.time()})
	further, ok := b.reached[number+1]
	if !ok || k.machine.Generation() < uint64(len(b.o.plans)) {
		return // or this worker has yet to learn that others go on
	}
	begun := k.machine.Lineage()
	if began := (age{b.store[begun.Session], begun.Generation}); !further.before(began) || begun.From >= number {
		b.o.w.fail("%s computes step %d again: step %d was done, and training is said to have begun after step %d", k.reg.Incarnation, number, number+1, begun.From)
	}
}

// record sees that the ledger is told of a lineage.
func (b *lineageOracle) record(begun wire.Lineage) { b.told[begun] = true }

// end sees that the ledger counts lost work as lost. It may miss a lineage of which it was
// never told and from which nothing came: the run went on, or ended, with an earlier state,
// of a worker that was away or of a checkpoint that was being written.
func (b *lineageOracle) end() {
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
