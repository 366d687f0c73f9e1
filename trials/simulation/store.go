package simulation

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// store is etcd as package membership uses it: registrations under leases, an
// election, the plan and the intent of one run.
type store struct {
	w       *world
	down    bool
	workers []*registration // by ID
	queue   []*candidacy    // candidates; the first leads
	plan    wire.Plan       // generation 0: none
	spec    []byte          // nil: none
	intent  wire.Intent
	planned bool
	intends bool
	watches []*watch
}

// registration is a worker's key; alive says that its lease was renewed.
type registration struct {
	reg   wire.Registration
	lease *lease
	until time.Duration
}

func (s *store) find(id string) *registration {
	for _, r := range s.workers {
		if r.reg.ID == id {
			return r
		}
	}
	return nil
}

func (s *store) snapshot() []wire.Registration {
	all := make([]wire.Registration, len(s.workers))
	for i, r := range s.workers {
		all[i] = r.reg
	}
	return all
}

func (s *store) remove(r *registration) {
	s.workers = slices.DeleteFunc(s.workers, func(o *registration) bool { return o == r })
	s.changed(watchWorkers)
}

// call is a request of a process: do happens at the store, then done is called. With
// a limit it may fail though it took effect; without one it waits for the store.
func (s *store) call(p *process, within time.Duration, do func() error, done func(err error)) {
	answered, life := false, p.life
	answer := func(err error) {
		if !answered {
			answered = true
			done(err)
		}
	}
	if within > 0 {
		p.after(within, func() { answer(errTimeout) })
	}
	gone := func() bool { return answered || !p.up() || p.life != life }
	var back, there func()
	var err error
	back = func() {
		switch {
		case gone():
		case s.down || p.cut:
			s.w.at(s.w.now+s.w.between(20*time.Millisecond, 200*time.Millisecond), back)
		default:
			p.do(life, func() { answer(err) })
		}
	}
	there = func() {
		switch {
		case gone():
		case s.down || p.cut:
			s.w.at(s.w.now+s.w.between(20*time.Millisecond, 200*time.Millisecond), there)
		default:
			err = do()
			s.w.at(s.w.now+hop(s.w), back)
		}
	}
	s.w.at(s.w.now+hop(s.w), there)
}

// What can be watched.
const (
	watchWorkers = iota
	watchPlan
	watchIntent
)

// watch tells a process the newest value, now and after changes.
type watch struct {
	what  int
	p     *process
	life  int
	tell  func()
	due   bool // a delivery is under way
	ended bool
}

func (s *store) watch(p *process, what int, tell func()) *watch {
	w := &watch{what: what, p: p, life: p.life, tell: tell}
	s.watches = append(s.watches, w)
	if what == watchWorkers || what == watchPlan && s.planned || what == watchIntent && s.intends {
		s.deliver(w)
	}
	return w
}

func (s *store) changed(what int) {
	s.watches = slices.DeleteFunc(s.watches, func(w *watch) bool {
		return w.ended || !w.p.up() || w.p.life != w.life
	})
	for _, w := range s.watches {
		if w.what == what && !w.due {
			s.deliver(w)
		}
	}
}

// deliver tells the value that is there when the process reads it: what changed
// meanwhile is skipped.
func (s *store) deliver(w *watch) {
	w.due = true
	delay := s.w.between(100*time.Microsecond, 3*time.Millisecond)
	if s.w.chance(20) {
		delay = s.w.between(0, 300*time.Millisecond)
	}
	var arrive func()
	arrive = func() {
		if s.down || w.p.cut {
			s.w.at(s.w.now+s.w.between(20*time.Millisecond, 200*time.Millisecond), arrive)
			return
		}
		w.p.do(w.life, func() {
			w.due = false
			if !w.ended {
				w.tell()
			}
		})
		if !w.p.up() || w.p.life != w.life {
			w.ended = true
		}
	}
	s.w.at(s.w.now+delay, arrive)
}

// outage takes the store away for a while. Leases are as good as new when it is
// back, as etcd's are after an election of its own.
func (s *store) outage(d time.Duration) {
	s.w.say("etcd is away for %s", d.Round(time.Millisecond))
	s.down = true
	for _, p := range s.w.processes {
		p.harmed = true
	}
	s.w.at(s.w.now+d, func() {
		s.down = false
		s.w.say("etcd is back")
		for _, r := range s.workers {
			s.prolong(r)
		}
		for _, t := range s.queue {
			s.prolongTerm(t)
		}
	})
}

// prolong renews a registration and ends it when it is not renewed again.
func (s *store) prolong(r *registration) {
	until := s.w.now + r.lease.ttl
	r.until = until
	s.w.at(until, func() {
		if !s.down && r.until == until && s.find(r.reg.ID) == r {
			s.w.say("the lease of %s ends", r.reg.Incarnation)
			s.remove(r)
		}
	})
}

// create writes a registration, unless another incarnation holds the ID.
func (s *store) create(l *lease) error {
	if held := s.find(l.reg.ID); held != nil {
		if held.reg.Incarnation != l.reg.Incarnation {
			return membership.ErrTaken
		}
		held.lease, held.reg = l, l.reg
		s.prolong(held)
		s.changed(watchWorkers)
		return nil
	}
	r := &registration{reg: l.reg, lease: l}
	s.workers = append(s.workers, r)
	slices.SortFunc(s.workers, func(a, b *registration) int { return strings.Compare(a.reg.ID, b.reg.ID) })
	s.prolong(r)
	s.changed(watchWorkers)
	return nil
}

// putSpec stores the spec of the run once.
func (s *store) putSpec(spec []byte) error {
	if s.spec == nil {
		s.spec = slices.Clone(spec)
	}
	if !bytes.Equal(s.spec, spec) {
		return membership.ErrOtherSpec
	}
	return nil
}

// evict removes a registration, if that incarnation holds it.
func (s *store) evict(t *candidacy, id, incarnation string) error {
	if !s.leads(t) {
		return membership.ErrNotLeader
	}
	if r := s.find(id); r != nil && r.reg.Incarnation == incarnation {
		r.lease.evicted = true
		s.remove(r)
	}
	return nil
}

// putPlan stores a plan if a leader writes the one that is next.
func (s *store) putPlan(t *candidacy, p wire.Plan) error {
	if s.w.bug != TwoLeaders {
		if !s.leads(t) {
			return membership.ErrNotLeader
		}
		if s.plan.Generation+1 != p.Generation {
			return membership.ErrConflict
		}
	}
	s.write(p)
	return nil
}

func (s *store) write(p wire.Plan) {
	s.plan, s.planned = p, true
	s.w.oracle.planned(p)
	s.changed(watchPlan)
}

func (s *store) putIntent(t *candidacy, i wire.Intent) error {
	if !s.leads(t) {
		return membership.ErrNotLeader
	}
	s.intent, s.intends = i, true
	s.changed(watchIntent)
	return nil
}
