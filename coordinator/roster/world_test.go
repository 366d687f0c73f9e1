package roster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// world is everything around a roster: workers that send heartbeats, a store
// that keeps registrations, plans and intents. Time passes when it is told to.
type world struct {
	r     *Roster
	cfg   Config
	start time.Time
	now   time.Time
	procs map[string]*proc // by incarnation
	order []*proc          // the same, sorted
	plan  wire.Plan
	lag   bool // the store does not answer
	held  []Event
	said  []string // effects, as lines
	seen  func(Effect)
	nextB time.Time
	nextT time.Time
	nextS time.Time
	pace  time.Duration // of a step; 0: none is applied
	asks  int

	paceOf func(wire.Plan) time.Duration // how long a step of a plan takes now; nil: pace
}

// proc is a worker's process.
type proc struct {
	reg        wire.Registration
	beat       wire.Beat
	member     bool // it was, when it last looked
	tainted    bool // it may be removed
	alive      bool // sends heartbeats
	registered bool
	expires    time.Time // when its lease ends, if it does not live
}

const leaseTTL = 5 * time.Second

func newWorld(cfg Config) *world {
	t := time.Unix(1000, 0)
	return &world{r: New(cfg), cfg: cfg, start: t, now: t, nextB: t.Add(5 * time.Millisecond), nextT: t.Add(5 * time.Millisecond), procs: map[string]*proc{}}
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf("%7.3f  ", w.now.Sub(w.start).Seconds())+fmt.Sprintf(format, args...))
}

// feed gives an event to the roster and carries its effects out.
func (w *world) feed(e Event) {
	for _, f := range w.r.Handle(w.now, e) {
		if w.seen != nil {
			w.seen(f)
		}
		w.carry(f)
	}
}

func (w *world) carry(f Effect) {
	switch f := f.(type) {
	case WritePlan:
		w.say("plan %d [%s] %s%s", f.Plan.Generation, members(f.Plan), marks(f.Plan), f.Plan.Reason)
		w.answer(f.Plan)
	case WriteIntent:
		i := f.Intent
		w.say("intent stop=%v workers=%d drain=%v %s", i.Stop, i.Workers, i.Drain, i.Reason)
	case Evict:
		w.say("evict %s", f.Incarnation)
		if p := w.procs[f.Incarnation]; p != nil && p.registered {
			p.registered = false
			w.snapshot()
		}
	case Probe:
		w.say("ask %s", f.Incarnation)
	case Record:
		if f.Event.Kind != wire.EventMembership {
			w.say("note %s: %s", f.Event.Kind, f.Event.Reason)
		}
	case StateChanged:
		w.say("state %s: %s", f.State, f.Reason)
	case Reply:
		if f.Error == "" {
			w.say("accepted")
		} else {
			w.say("refused: %s", f.Error)
		}
	}
}

func members(p wire.Plan) string {
	var all []string
	for _, m := range p.Members {
		all = append(all, fmt.Sprintf("%s:%d", m.Incarnation, m.Share))
	}
	return strings.Join(all, " ")
}

func marks(p wire.Plan) (all string) {
	if p.Mixed {
		all = "(mixed) "
	}
	if p.Ring != "" {
		all += "(ring: " + p.Ring + ") "
	}
	return all
}

// answer stores a plan, as etcd would.
func (w *world) answer(p wire.Plan) {
	e := Event(PlanWritten{})
	if p.Generation == w.plan.Generation+1 {
		w.plan = p
		for _, m := range p.Members {
			if q := w.procs[m.Incarnation]; q != nil && q.alive {
				q.beat.Generation = p.Generation
				if q.beat.State == wire.WorkerJoining || q.beat.State == wire.WorkerHolding {
					q.beat.State = wire.WorkerComputing
				}
			}
		}
	} else {
		e = PlanRejected{Stored: w.plan}
	}
	if w.lag {
		w.held = append(w.held, e)
		return
	}
	w.feed(e)
}

// snapshot tells the roster who is registered.
func (w *world) snapshot() {
	var all []wire.Registration
	for _, p := range w.order {
		if p.registered {
			all = append(all, p.reg)
		}
	}
	w.feed(Registered{all})
}

// up starts a process. Its incarnation is its ID and how often that was started.
func (w *world) up(id string, change func(*wire.Registration)) *proc {
	n := 1
	for w.procs[fmt.Sprintf("%s.%d", id, n)] != nil {
		n++
	}
	in := fmt.Sprintf("%s.%d", id, n)
	p := &proc{alive: true, registered: true, beat: wire.Beat{ID: id, Incarnation: in, State: wire.WorkerJoining, Generation: w.plan.Generation, Patience: number.Float(w.cfg.FailureTimeout.Seconds())}, reg: wire.Registration{
		ID: id, Incarnation: in, Host: "host", PID: 100 + len(w.procs), SpecHash: w.cfg.SpecHash, CorpusHash: w.cfg.CorpusHash,
		Build: w.cfg.Build, Fingerprint: "f", Mailbox: "at-" + in,
	}}
	if change != nil {
		change(&p.reg)
	}
	p.beat.Step = p.reg.Step
	w.procs[in] = p
	at, _ := slices.BinarySearchFunc(w.order, in, func(p *proc, in string) int { return strings.Compare(p.reg.Incarnation, in) })
	w.order = slices.Insert(w.order, at, p)
	w.snapshot()
	w.feed(Beat{p.beat})
	return p
}

// find returns the newest process of an ID.
func (w *world) find(id string) *proc {
	var found *proc
	for n := 1; w.procs[fmt.Sprintf("%s.%d", id, n)] != nil; n++ {
		found = w.procs[fmt.Sprintf("%s.%d", id, n)]
	}
	return found
}

// holder returns the process that is registered under an ID, or nil: there is
// never more than one.
func (w *world) holder(id string) *proc {
	for _, p := range w.procs {
		if p.registered && p.reg.ID == id {
			return p
		}
	}
	return nil
}

// kill ends heartbeats; the registration ends later.
func (w *world) kill(p *proc) { p.alive, p.expires = false, w.now.Add(leaseTTL) }

// leave ends a process in good order.
func (w *world) leave(p *proc) {
	p.alive, p.registered = false, false
	w.snapshot()
}

// step lets the members that compute apply a step.
func (w *world) step() {
	for _, m := range w.plan.Members {
		if p := w.procs[m.Incarnation]; p != nil && p.alive && p.beat.State == wire.WorkerComputing {
			p.beat.Step++
			p.beat.Tokens = 1000
		}
	}
}

// wait lets time pass: heartbeats five times and ticks eight times a failure
// timeout.
func (w *world) wait(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		next := end
		for _, p := range w.order {
			if !p.alive && p.registered {
				next = earlier(next, p.expires)
			}
		}
		if w.pace > 0 {
			next = earlier(next, w.nextS)
		}
		w.now = earlier(earlier(next, w.nextB), w.nextT)
		if w.paceOf != nil {
			w.pace = w.paceOf(w.plan)
		}
		if w.pace > 0 && !w.now.Before(w.nextS) {
			w.nextS = w.now.Add(w.pace)
			w.step()
		}
		for _, p := range w.order {
			if !p.alive && p.registered && !w.now.Before(p.expires) {
				p.registered = false
				w.snapshot()
			}
		}
		if !w.now.Before(w.nextB) {
			w.nextB = w.now.Add(w.cfg.FailureTimeout / 5)
			for _, p := range w.order {
				if p.alive {
					w.feed(Beat{p.beat})
					if w.plan.Rank(p.reg.ID, p.reg.Incarnation) < 0 {
						p.beat.Generation = w.plan.Generation // the plan reaches it meanwhile
					}
				}
			}
		}
		if !w.now.Before(w.nextT) {
			w.nextT = w.now.Add(w.cfg.FailureTimeout / 8)
			w.feed(Tick{})
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
