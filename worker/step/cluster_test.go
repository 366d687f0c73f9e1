package step

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// A cluster of machines under a scheduler that draws what happens next. The
// state of a member is a hash over the entries that it applied; an entry is the
// set of its micro-batches. The oracle knows what each must be.

const microBatches = 5

type member struct {
	id      string
	m       *Machine
	alive   bool
	queue   []Event // in the order in which they happened to it
	sum     []int   // micro-batches in its accumulator
	grad    Compute // what was computed last
	applied uint64
	digest  string
	entry   *entry // newest, for peers
	fetched *entry
	loaded  uint64
	reduce  *Reduce
	done    bool
	late    bool // the run had ended when it was ready

	began, in uint64 // the step that it computes for, and in which generation it began with it

	held    bool // it keeps entries, from the one after heldAt
	heldAt  uint64
	entries map[uint64]*entry
	awaited *FetchEntry // an entry that has yet to come
}

// entry is what a ring sums: micro-batches and votes.
type entry struct {
	step  uint64
	holds []int
	hold  bool
}

type cluster struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	steps   uint64
	members []*member
	plan    wire.Plan
	next    int
	log     []string
	stored  uint64
	slices  map[uint64]map[int]bool
	kills   bool                  // members die and leave, too
	work    int                   // micro-batches computed, by all
	given   map[[2]uint64]*member // the last to begin with a micro-batch, by step and index
}

func digestAfter(step uint64) string {
	h := fnv.New64()
	fmt.Fprint(h, step)
	return fmt.Sprintf("%x", h.Sum64())
}

func (c *cluster) say(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

func (c *cluster) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(c.log[max(0, len(c.log)-80):], "\n"))
}

func (c *cluster) start(step uint64) *member {
	c.next++
	p := &member{id: fmt.Sprintf("w%d", c.next), alive: true, applied: step, digest: digestAfter(step)}
	p.m = New(Config{ID: p.id, Incarnation: "1", Steps: c.steps, FailureTimeout: time.Second, SaveEvery: 3 * time.Second}, c.now, step)
	c.members = append(c.members, p)
	c.say("start %s at step %d", p.id, step)
	return p
}

// counts checks that exactly the recomputed micro-batches are marked so.
func (c *cluster) counts(p *member, f Compute) {
	key := [2]uint64{f.Step, uint64(f.Index)}
	before := c.given[key]
	gone := before != nil && !before.alive && slices.ContainsFunc(c.members, func(o *member) bool {
		return o.alive && o.began == f.Step && o.in < p.m.plan.Generation // else no member knows
	})
	if f.Recompute && !c.kills {
		c.fail("%s computes %d of step %d, and nobody was lost", p.id, f.Index, f.Step)
	}
	if !f.Recompute && gone {
		c.fail("%s computes %d of step %d as if for the first time, after %s, which is gone", p.id, f.Index, f.Step, before.id)
	}
	c.given[key] = p
	if p.began != f.Step {
		p.began, p.in = f.Step, p.m.plan.Generation
	}
}

func (c *cluster) find(id string) *member {
	for _, p := range c.members {
		if p.id == id && p.alive {
			return p
		}
	}
	return nil
}

// replan writes the next generation over all members that live.
func (c *cluster) replan(reason string) {
	p := wire.Plan{Generation: c.plan.Generation + 1, MicroBatches: microBatches, Reason: reason}
	for _, m := range c.members {
		if m.alive && !m.done && !m.m.drainRequested {
			p.Members = append(p.Members, wire.Member{ID: m.id, Incarnation: "1"})
		}
	}
	if len(p.Members) == 0 {
		return
	}
	newSession := true
	for _, m := range c.plan.Members {
		p.LostMembers = p.LostMembers || c.find(m.ID) == nil
		newSession = newSession && c.find(m.ID) == nil
	}
	if newSession { // a session ends as a whole: nothing of it is recomputed as lost
		clear(c.given)
	}
	for i := range microBatches {
		p.Members[i%len(p.Members)].Share++
	}
	c.plan = p
	c.say("plan %d: %d members, %s", p.Generation, len(p.Members), reason)
	for _, m := range c.members {
		m.queue = append(m.queue, PlanChanged{p})
	}
}

func (c *cluster) feed(p *member, e Event) {
	for _, f := range p.m.Handle(c.now, e) {
		c.carry(p, f)
	}
}

func (c *cluster) carry(p *member, f Effect) {
	switch f := f.(type) {
	case SendHello:
		for _, o := range c.members {
			if o != p && o.alive && c.rng.IntN(20) > 0 { // some are lost
				o.queue = append(o.queue, HelloReceived{f.Hello})
			}
		}
	case Digest:
		c.feed(p, Digested{p.applied, p.digest})
	case CloseRing:
		p.reduce, p.awaited = nil, nil
	case Compute:
		if f.Step != p.applied+1 {
			c.fail("%s computes step %d after applying %d", p.id, f.Step, p.applied)
		}
		c.counts(p, f)
		p.grad = f
		c.work++
		p.queue = append(p.queue, Computed{f.Step, f.Index})
	case Add:
		if f.Index != p.grad.Index || p.grad.Step != p.applied+1 || slices.Contains(p.sum, f.Index) {
			c.fail("%s adds %d, computed %+v, sum %v", p.id, f.Index, p.grad, p.sum)
		}
		p.sum = append(p.sum, f.Index)
	case Reset:
		p.sum = nil
	case Reduce:
		p.reduce = &f
	case Apply:
		c.apply(p, f.Step)
	case Load:
		p.applied, p.digest, p.entry = p.loaded, digestAfter(p.loaded), nil
		c.say("%s loads %d", p.id, p.applied)
		c.feed(p, Loaded{Step: p.applied, Digest: p.digest})
	case FetchEntry:
		c.fetchEntry(p, f)
	case FetchPinned:
		from := c.find(f.From[c.rng.IntN(len(f.From))])
		if from == nil || from.applied <= f.Newer || c.rng.IntN(8) == 0 {
			p.queue = append(p.queue, FetchFailed{f.Generation, "gone"})
			return
		}
		from.held, from.heldAt, from.entries = true, from.applied, map[uint64]*entry{}
		p.loaded = from.applied
		c.say("%s takes the state of step %d that %s keeps", p.id, p.loaded, from.id)
		p.queue = append(p.queue, SnapshotFetched{f.Generation, p.loaded})
	case FetchSnapshot:
		if f.Digest == "" {
			p.loaded = c.stored
			p.queue = append(p.queue, SnapshotFetched{f.Generation, p.loaded})
			return
		}
		for _, id := range f.From {
			if from := c.find(id); from != nil && from.applied == f.Step {
				p.loaded = f.Step
				p.queue = append(p.queue, SnapshotFetched{f.Generation, f.Step})
				return
			}
		}
		p.queue = append(p.queue, FetchFailed{f.Generation, "gone"})
	case Save:
		if c.slices[f.Step] == nil {
			c.slices[f.Step] = map[int]bool{}
		}
		if f.World == len(c.plan.Members) {
			c.slices[f.Step][f.Rank] = true
		}
		if len(c.slices[f.Step]) >= f.World {
			c.stored = max(c.stored, f.Step)
			for _, o := range c.members {
				o.queue = append(o.queue, Stored{c.stored})
			}
		}
		if f.Rank < 0 {
			c.fail("%s stores a state and is no member", p.id)
		}
	case LeftOut:
		p.done = p.done || p.m.drainRequested
	case Finish:
		if f.Step != p.applied {
			c.fail("%s finishes with %d, has applied %d", p.id, f.Step, p.applied)
		}
		p.done = true
	}
}

// fetchEntry gives what a member holds: the newest entry, or one that is kept.
func (c *cluster) fetchEntry(p *member, f FetchEntry) {
	later := false
	for _, id := range f.From {
		from := c.find(id)
		switch {
		case from == nil:
		case from.applied < f.Step:
			later = true
		case from.entries[f.Step] != nil:
			p.fetched = from.entries[f.Step]
		case from.applied == f.Step && from.entry != nil:
			p.fetched = from.entry
		default:
			continue
		}
		if p.fetched != nil && p.fetched.step == f.Step {
			p.queue, p.awaited = append(p.queue, EntryFetched{f.Generation, f.Step}), nil
			return
		}
	}
	switch {
	case !later || !f.Await:
		p.queue, p.awaited = append(p.queue, FetchFailed{f.Generation, "gone"}), nil
	case p.awaited == nil:
		p.awaited = &f
		p.queue = append(p.queue, UpToDate{f.Generation, f.Step})
	}
}

func (c *cluster) apply(p *member, step uint64) {
	e := p.fetched
	if step != p.applied+1 {
		c.fail("%s applies %d after %d", p.id, step, p.applied)
	}
	slices.Sort(e.holds)
	if !slices.Equal(e.holds, []int{0, 1, 2, 3, 4}) {
		c.fail("%s applies step %d with micro-batches %v", p.id, step, e.holds)
	}
	p.applied, p.digest, p.entry = step, digestAfter(step), e
	if p.held {
		p.entries[step] = e
	}
	c.say("%s applies %d", p.id, step)
	c.feed(p, Applied{Step: step, Pause: e.hold, Save: step%7 == 0})
}

// ring completes the reduction if all members of the plan wait in it.
func (c *cluster) ring() bool {
	e := &entry{}
	var all []*member
	for _, want := range c.plan.Members {
		p := c.find(want.ID)
		if p == nil || p.reduce == nil || p.reduce.Generation != c.plan.Generation {
			return false
		}
		if len(all) > 0 && p.reduce.Step != all[0].reduce.Step {
			c.fail("ring of generation %d reduces steps %d and %d", c.plan.Generation, p.reduce.Step, all[0].reduce.Step)
		}
		all = append(all, p)
		e.step = p.reduce.Step
		e.holds = append(e.holds, p.sum...)
		e.hold = e.hold || p.reduce.Votes.Pause
	}
	// Some may complete while the others see it broken.
	for _, p := range all {
		r := p.reduce
		p.reduce = nil
		if c.rng.IntN(40) == 0 {
			p.queue = append(p.queue, RingBroken{r.Generation, -1, "cut"})
			continue
		}
		p.fetched = e
		p.queue = append(p.queue, Reduced{Generation: r.Generation, Step: r.Step})
	}
	return true
}

func (c *cluster) run(faults int) {
	c.replan("start")
	for turn := 0; ; turn++ {
		if turn > 200000 {
			c.fail("the run does not end")
		}
		living, ended := 0, 0
		for _, p := range c.members {
			if p.alive {
				living++
				if p.done {
					ended++
				}
			}
		}
		if living > 0 && living == ended {
			break
		}
		if c.ring() {
			continue
		}
		p := c.members[c.rng.IntN(len(c.members))]
		if p.alive && p.awaited != nil {
			c.fetchEntry(p, *p.awaited)
		}
		switch k := c.rng.IntN(400); {
		case k == 0 && c.kills && faults > 0 && c.staying() > 1 && p.alive && !p.done:
			faults--
			p.alive = false
			c.say("kill %s", p.id)
			for _, o := range c.members { // neighbours see it
				if o.alive && o.m.rank >= 0 && c.rng.IntN(2) == 0 {
					o.queue = append(o.queue, RingBroken{o.m.Generation(), -1, "closed"})
					o.reduce = nil
				}
			}
		case k == 1 && faults > 0 && living < 5:
			faults--
			p := c.start(c.stored)
			if c.rng.IntN(4) == 0 { // taken in as it is
				c.replan("join")
				break
			}
			p.queue = append(p.queue, PlanChanged{c.plan})
		case k == 2 && c.kills && faults > 0 && c.staying() > 1 && p.alive && !p.m.drainRequested && p.m.rank >= 0:
			faults--
			c.say("drain %s", p.id)
			c.feed(p, DrainRequested{})
		case k < 40:
			c.now = c.now.Add(100 * time.Millisecond)
			for _, o := range c.members {
				if o.alive {
					c.feed(o, Tick{})
				}
			}
			c.mend()
		default:
			if p.alive && len(p.queue) > 0 {
				e := p.queue[0]
				p.queue = p.queue[1:]
				c.feed(p, e)
			}
		}
	}
}

// staying counts the members that live and are not asked to leave.
func (c *cluster) staying() int {
	n := 0
	for _, p := range c.members {
		if p.alive && !p.done && !p.m.drainRequested {
			n++
		}
	}
	return n
}

// mend is the coordinator: it replaces a plan that cannot go on, and admits workers that
// are ready.
func (c *cluster) mend() {
	for _, p := range c.members {
		switch {
		case !p.alive || p.done || p.m.rank >= 0:
		case c.stored == c.steps: // it came too late
			p.done, p.late = true, true
		case p.m.Generation() == c.plan.Generation && p.m.State() == wire.WorkerJoining:
			c.replan(p.id + " is ready")
			return
		}
	}
	for _, want := range c.plan.Members {
		p := c.find(want.ID)
		switch {
		case p == nil:
			c.replan(want.ID + " is gone")
			return
		case p.m.ringBroken && p.m.Generation() == c.plan.Generation:
			c.replan("the ring broke")
			return
		case p.m.State() == wire.WorkerHolding && p.m.drainRequested && c.rng.IntN(3) == 0:
			c.replan("drain of " + p.id)
			p.done = true
			return
		}
	}
}

func simulate(t *testing.T, seed uint64, kills bool) *cluster {
	c := &cluster{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1000, 0), steps: 20,
		slices: map[uint64]map[int]bool{}, kills: kills, given: map[[2]uint64]*member{},
	}
	c.say("seed %d", seed)
	for range 1 + c.rng.IntN(4) {
		c.start(0)
	}
	c.run(c.rng.IntN(8))
	for _, p := range c.members {
		if p.alive && !p.m.drainRequested && !p.late && p.applied != c.steps {
			c.fail("%s ends with step %d", p.id, p.applied)
		}
	}
	return c
}

func TestEveryStepHoldsEachMicroBatchOnceWhateverHappens(t *testing.T) {
	for seed := range uint64(3000) {
		simulate(t, seed, true)
	}
}

func TestNothingIsComputedTwiceUnlessItsHolderIsGone(t *testing.T) {
	for seed := range uint64(1000) {
		c := simulate(t, seed, false)
		if want := int(c.steps) * microBatches; c.work != want {
			c.fail("%d micro-batches were computed, the run has %d", c.work, want)
		}
	}
}
