package simulation

import (
	"reflect"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// oracle knows what must hold, apart from the machines: the states of an
// undisturbed run, every plan that was ever stored, each computation and which
// checkpoint was promised.
type oracle struct {
	w          *world
	states     []*replica.State // after every step of an undisturbed run
	plans      []wire.Plan      // of this store, by generation less one
	work       map[uint64][]computation
	total      int // micro-batches computed
	offered    uint64
	done       bool
	emptied    bool // a plan without members let all go
	rebalanced int  // plans of the same members, for their speeds alone
	lineages   *lineageOracle
	ledger     map[string]bool // events of stored plans, by key: whether the ledger has them

	collected struct { // the newest chunk
		by               *service
		step, generation uint64 // that it collects, and the newest of its chunks
	}
}

func newOracle(w *world, states []*replica.State) *oracle {
	o := &oracle{w: w, states: states, work: map[uint64][]computation{}, ledger: map[string]bool{}}
	o.lineages = newLineageOracle(o)
	return o
}

// computation is one micro-batch that a worker began to compute.
type computation struct {
	index       int
	generation  uint64
	by          *worker
	incarnation string
}

// planned sees a plan that was stored.
func (o *oracle) planned(p wire.Plan) {
	o.emptied = o.emptied || len(p.Members) == 0
	o.lineages.planned(p)
	for _, e := range p.Events {
		if !o.ledger[e.Key] {
			o.ledger[e.Key] = false
		}
	}
	switch n := uint64(len(o.plans)); {
	case p.Generation == n+1:
		if n > 0 && len(p.Members) > 0 {
			o.leftOut(o.plans[n-1], p)
			o.divided(o.plans[n-1], p)
		}
		o.plans = append(o.plans, p)
	case p.Generation <= n && p.Generation > 0 && reflect.DeepEqual(o.plans[p.Generation-1], p):
	case p.Generation <= n:
		o.w.fail("two plans of generation %d: %s, then %s", p.Generation, described(o.plans[p.Generation-1]), described(p))
	default:
		o.w.fail("plan %d after plan %d", p.Generation, n)
	}
}

// leftOut checks the members that a plan leaves out: none to which nothing happened, unless
// another member gets no messages, and may suspect any.
func (o *oracle) leftOut(before, p wire.Plan) {
	for _, m := range before.Members {
		if o.w.process(m.ID).deaf {
			return
		}
	}
	for _, m := range before.Members {
		k, ok := o.w.process(m.ID).role.(*worker)
		if ok && k.reg.Incarnation == m.Incarnation && p.Rank(m.ID, m.Incarnation) < 0 &&
			!k.p.harmed && !slices.Contains(o.w.store.intent.Drain, m.Incarnation) && !k.drained && !k.closing && !o.done {
			o.w.fail("%s is left out: %s", m.Incarnation, p.Reason)
		}
	}
}

// divided sees a plan that changes nothing but the shares. Where nothing fails, that
// is for speed, which is no reason soon again.
func (o *oracle) divided(before, p wire.Plan) {
	if len(before.Members) != len(p.Members) {
		return
	}
	same := true
	for i, m := range p.Members {
		b := before.Members[i]
		if b.ID != m.ID || b.Incarnation != m.Incarnation {
			return
		}
		same = same && b.Share == m.Share
	}
	switch {
	case !same:
		o.rebalanced++
	case o.undisturbed():
		o.w.fail("plan %d is the one before: %s", p.Generation, described(p))
	}
}

// recorded sees events that the ledger has taken.
func (o *oracle) recorded(events []wire.Event) {
	for _, e := range events {
		o.ledger[e.Key] = true
		if e.Lineage != nil {
			o.lineages.record(*e.Lineage)
		}
	}
}

// allRecorded reports whether the ledger has every event that stands in a plan.
func (o *oracle) allRecorded() bool {
	for _, has := range o.ledger {
		if !has {
			return false
		}
	}
	return true
}

// forgetPlans begins with a new store.
func (o *oracle) forgetPlans() {
	o.plans, o.work, o.ledger = nil, map[uint64][]computation{}, map[string]bool{}
	o.lineages.stores++
}

// agrees compares a replica with the undisturbed run.
func (o *oracle) agrees(who string, s *replica.State) {
	if s.Step >= uint64(len(o.states)) || !equal(s, o.states[s.Step]) {
		o.w.fail("%s: the state after step %d is not that of an undisturbed run", who, s.Step)
	}
}

func (o *oracle) began(k *worker) {
	k.newest = k.State.Step
	o.agrees(k.id, k.State)
}

// loaded sees that a replica took the state of others. A worker outside the ring takes one
// only to come closer to the members.
func (o *oracle) loaded(k *worker) {
	if k.machine.Rank() < 0 && k.State.Step <= k.newest {
		o.w.fail("%s takes the state of step %d, and was at step %d", k.reg.Incarnation, k.State.Step, k.newest)
	}
	k.corrupted = false
	k.newest = k.State.Step
	o.agrees(k.reg.Incarnation, k.State)
}

// applied sees that a replica applied an entry: each once, none left out.
func (o *oracle) applied(k *worker, number uint64) {
	if number != k.newest+1 {
		o.w.fail("%s applies step %d after step %d", k.reg.Incarnation, number, k.newest)
	}
	k.newest = number
	o.agrees(k.reg.Incarnation, k.State)
	o.lineages.applied(k, number)
}

// computes sees the beginning of a micro-batch. It must not be one that a worker
// has computed which has been a member ever since.
func (o *oracle) computes(k *worker, f step.Compute) {
	generation := k.machine.Generation()
	for _, c := range o.work[f.Step] {
		if c.index != f.Index {
			continue
		}
		if o.undisturbed() && c.generation <= generation {
			o.w.fail("%s computes micro-batch %d of step %d, which %s did, and nothing has failed", k.reg.Incarnation, f.Index, f.Step, c.incarnation)
		}
		if o.stayed(c, generation) {
			o.w.fail("%s computes micro-batch %d of step %d, which %s has computed in generation %d", k.reg.Incarnation, f.Index, f.Step, c.incarnation, c.generation)
		}
	}
	o.total++
	o.lineages.computes(k, f.Step)
	o.work[f.Step] = append(o.work[f.Step], computation{f.Index, generation, k, k.reg.Incarnation})
}

// undisturbed reports whether nothing may be computed twice: workers came and went
// as they were asked to, and enough stayed to go on. All that leave take the newest
// state along, and whoever is new when the others stop does their last step alone.
func (o *oracle) undisturbed() bool {
	return o.w.calm && !o.emptied && !o.w.store.intent.Stop && o.w.parent.sessions == 0
}

// stayed reports whether the worker of a computation was in every plan since, up to a
// generation, and lives.
func (o *oracle) stayed(c computation, until uint64) bool {
	if c.generation > until { // the worker has yet to learn that it is outside
		return false
	}
	if c.by.p.role != role(c.by) || c.by.reg.Incarnation != c.incarnation || c.by.corrupted {
		return false
	}
	for g := c.generation + 1; g <= until; g++ {
		if o.plans[g-1].Rank(c.by.id, c.incarnation) < 0 {
			return false
		}
	}
	return true
}

// diverged sees that a replica differs from others: only one that was tampered with
// does.
func (o *oracle) diverged(k *worker) {
	if !k.corrupted {
		o.w.fail("%s differs from the others at step %d", k.reg.Incarnation, k.State.Step)
	}
}

// finished sees a worker that believes that all is stored.
func (o *oracle) finished(k *worker, number uint64) {
	if s := o.w.folder.newest; s == nil || s.Step < number {
		o.w.fail("%s ends with step %d, which is not stored", k.reg.Incarnation, number)
	}
}

// collects sees a chunk that the checkpoint service takes. Of a step that is not
// the one before it may only be where its sender is in no older generation.
func (o *oracle) collects(s *service, h wire.SliceHeader) {
	last := &o.collected
	if last.by == s && h.Step != last.step && h.Generation < last.generation {
		o.w.fail("a chunk of step %d of generation %d takes the place of step %d of generation %d", h.Step, h.Generation, last.step, last.generation)
	}
	if last.by != s {
		last.generation = 0
	}
	last.by, last.step, last.generation = s, h.Step, max(last.generation, h.Generation)
}

// offer sees what the checkpoint service says it has.
func (o *oracle) offer(number uint64) {
	if number < o.offered {
		o.w.fail("the newest checkpoint is of step %d, it was of step %d", number, o.offered)
	}
	o.offered = number
}

func (o *oracle) durable(s *replica.State) { o.agrees("the checkpoint", s) }

// refused sees that slices did not make up a state.
func (o *oracle) refused(number uint64, err error) {
	o.w.fail("the slices of step %d make no state: %v", number, err)
}

// state sees how the coordinator says that the run is.
func (o *oracle) state(state wire.RunState) {
	if state != wire.StateDone {
		return
	}
	o.done = true
	if s := o.w.folder.newest; s == nil || s.Step != o.w.rule.Steps {
		o.w.fail("the run is said to be done, and is not stored")
	}
}

// end holds the whole run against what it must be.
func (o *oracle) end() {
	last := o.w.folder.newest
	if last == nil || last.Step != o.w.rule.Steps {
		o.w.fail("the run ends without its last checkpoint")
		return
	}
	o.agrees("the end", last)
	o.lineages.end()
	if want := int(o.w.rule.Steps) * o.w.rule.MicroBatches; o.undisturbed() && o.total != want {
		o.w.fail("%d micro-batches were computed, the run has %d", o.total, want)
	}
}
