package simulation

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// lease is a worker's side of its registration: it renews it, and writes it again
// where it expired.
type lease struct {
	p       *process
	s       *store
	reg     wire.Registration
	ttl     time.Duration
	evicted bool // known to the store only
	closed  bool
	lost    bool
	onLost  func()
}

// register writes a registration; done is called once.
func (s *store) register(p *process, reg wire.Registration, ttl time.Duration, done func(l *lease, err error)) {
	l := &lease{p: p, s: s, reg: reg, ttl: ttl}
	s.call(p, ttl, func() error { return s.create(l) }, func(err error) {
		if err == nil {
			l.keep()
		}
		done(l, err)
	})
}

var (
	errExpired = errors.New("the lease has expired")
	errAnother = errors.New("the registration is that of another")
)

func (l *lease) keep() {
	l.p.after(l.ttl/3, func() {
		if l.closed || l.lost {
			return
		}
		l.s.call(l.p, l.ttl/3, l.renew, func(err error) {
			switch {
			case l.closed:
			case errors.Is(err, membership.ErrLost), errors.Is(err, membership.ErrTaken):
				l.lost = true
				l.p.w.say("%s has lost its registration: %v", l.reg.Incarnation, err)
				if l.onLost != nil {
					l.onLost()
				}
			default:
				l.keep()
			}
		})
	})
}

// renew happens at the store.
func (l *lease) renew() error {
	r := l.s.find(l.reg.ID)
	switch {
	case l.closed:
		return nil
	case l.evicted:
		return membership.ErrLost
	case r == nil: // it had expired
		return l.s.create(l)
	case r.reg.Incarnation != l.reg.Incarnation:
		return membership.ErrTaken
	}
	l.s.prolong(r)
	return nil
}

// update replaces the registration.
func (l *lease) update(reg wire.Registration, done func(err error)) {
	if reg.ID != l.reg.ID || reg.Incarnation != l.reg.Incarnation {
		done(errAnother)
		return
	}
	l.reg = reg
	l.s.call(l.p, l.ttl, func() error {
		r := l.s.find(reg.ID)
		switch {
		case l.evicted, l.lost, l.closed:
			return membership.ErrLost
		case r == nil:
			return l.s.create(l)
		case r.reg.Incarnation != reg.Incarnation:
			return membership.ErrTaken
		}
		r.reg = reg
		l.s.changed(watchWorkers)
		return nil
	}, done)
}

// close ends the registration, if the request reaches the store in time.
func (l *lease) close(done func(err error)) {
	l.closed = true
	l.s.call(l.p, 2*time.Second, func() error {
		if r := l.s.find(l.reg.ID); r != nil && r.lease == l {
			l.s.remove(r)
		}
		return nil
	}, done)
}

// candidacy is a candidate's place in the election.
type candidacy struct {
	p       *process
	life    int
	s       *store
	ttl     time.Duration
	until   time.Duration // its lease ends at the store
	renewed time.Duration // when the store last renewed it, as the candidate knows
	won     bool
	over    bool
	onWon   func()
	onLost  func()
}

// campaign stands for election. won is called at most once, and lost when the candidacy
// is over by itself, whether it was won or not.
func (s *store) campaign(p *process, ttl time.Duration, won, lost func(t *candidacy)) *candidacy {
	t := &candidacy{p: p, life: p.life, s: s, ttl: ttl}
	t.onWon, t.onLost = func() { won(t) }, func() { lost(t) }
	s.call(p, 0, func() error {
		s.queue = append(s.queue, t)
		s.prolongTerm(t)
		s.elect()
		return nil
	}, func(error) {
		t.renewed = s.w.now
		t.keep()
	})
	return t
}

// leads reports whether a candidacy is the first in the queue.
func (s *store) leads(t *candidacy) bool { return len(s.queue) > 0 && s.queue[0] == t }

// elect tells the first candidate that it leads.
func (s *store) elect() {
	if len(s.queue) == 0 || s.queue[0].won {
		return
	}
	t := s.queue[0]
	t.won = true
	var tell func()
	tell = func() {
		if s.down || t.p.cut {
			s.w.at(s.w.now+s.w.between(20*time.Millisecond, 200*time.Millisecond), tell)
			return
		}
		t.p.do(t.life, func() {
			if !t.over {
				t.onWon()
			}
		})
	}
	s.w.at(s.w.now+hop(s.w), tell)
}

// withdraw takes a candidate or the leader out.
func (s *store) withdraw(t *candidacy) {
	for i, o := range s.queue {
		if o == t {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			s.elect()
			return
		}
	}
}

// renew forgets the intent of an earlier start of the run, and deposes the leader.
func (s *store) renew() {
	s.intent = wire.Intent{}
	s.changed(watchIntent)
	if len(s.queue) > 0 {
		s.withdraw(s.queue[0])
	}
}

func (s *store) prolongTerm(t *candidacy) {
	until := s.w.now + t.ttl
	t.until = until
	s.w.at(until, func() {
		if !s.down && t.until == until {
			s.withdraw(t)
		}
	})
}

// keep renews the candidacy. A candidate that cannot, for the time of a lease, knows
// that it is over.
func (t *candidacy) keep() {
	t.p.after(t.ttl/3, func() {
		if t.over {
			return
		}
		t.s.call(t.p, t.ttl/3, func() error {
			for _, o := range t.s.queue {
				if o == t {
					t.s.prolongTerm(t)
					return nil
				}
			}
			return errExpired
		}, func(err error) {
			switch {
			case t.over:
			case err == nil:
				t.renewed = t.s.w.now
				t.keep()
			case errors.Is(err, errExpired) || t.s.w.now-t.renewed >= t.ttl:
				t.over = true
				t.onLost()
			default:
				t.keep()
			}
		})
	})
}

// resign gives the candidacy up.
func (t *candidacy) resign(done func()) {
	t.over = true
	t.s.call(t.p, 2*time.Second, func() error {
		t.s.withdraw(t)
		return nil
	}, func(error) { done() })
}
