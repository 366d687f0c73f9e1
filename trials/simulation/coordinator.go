package simulation

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/coordinator/orders"
	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/wire"
)

// coordinator is the shell around roster.Roster, as package coordinator is: it
// stands for election, and while it leads it feeds the roster and carries its
// effects out, those on the store one after the other.
type coordinator struct {
	w         *world
	p         *process
	standing  *candidacy // for which it campaigns, or which it won
	term      *term
	committed uint64
	outbox    orders.Outbox
}

// term is the time in which a coordinator leads.
type term struct {
	c         *coordinator
	candidacy *candidacy
	nonce     string
	roster    *roster.Roster
	workers   *watch
	orders    orders.Queue[envelope]
	forgets   bool // a mistake: the first plan is not written
	over      bool
}

func (w *world) newCoordinator(p *process) role {
	c := &coordinator{w: w, p: p}
	p.listen(topicBeat, "")
	p.listen(topicCommitted, "")
	p.after(w.between(time.Millisecond, 50*time.Millisecond), c.campaign)
	p.every(failureTimeout/8, func() { c.feed(roster.Tick{}) })
	return c
}

// ended implements role.
func (c *coordinator) ended() {
	if c.term != nil {
		c.term.over = true
	}
}

// campaign stands for election; a term that ended is followed by another.
func (c *coordinator) campaign() {
	c.standing = c.w.store.campaign(c.p, max(2*time.Second, 3*failureTimeout), c.elected, func(t *candidacy) {
		if c.term != nil && c.term.candidacy == t {
			c.depose("the election is lost")
			return
		}
		c.stand(t)
	})
}

// stand begins another campaign after one that came to nothing.
func (c *coordinator) stand(t *candidacy) {
	if c.standing == t {
		c.standing = nil
		c.p.after(time.Second, c.campaign)
	}
}

// elected reads what is stored and begins to lead.
func (c *coordinator) elected(t *candidacy) {
	s := c.w.store
	r := &term{c: c, candidacy: t, nonce: fmt.Sprintf("%s-%d", c.p.name, c.w.added)}
	var p wire.Plan
	var i wire.Intent
	s.call(c.p, 5*time.Second, func() error { p, i = s.plan, s.intent; return nil }, func(err error) {
		switch {
		case t.over:
		case err != nil:
			t.resign(func() { c.stand(t) })
		default:
			c.lead(r, p, i)
		}
	})
}

func (c *coordinator) lead(r *term, p wire.Plan, i wire.Intent) {
	c.w.say("%s leads", c.p.name)
	c.term = r
	r.forgets = c.w.bug == ForgetOrder && p.Generation > 0 // it takes over
	r.roster = roster.New(c.w.rosterConfig())
	c.p.listen(topicSuspect, "")
	c.p.listen(topicControl, "")
	r.workers = c.w.store.watch(c.p, watchWorkers, func() {
		if !r.over {
			c.feed(roster.Registered{All: c.w.store.snapshot()})
		}
	})
	r.askCommitted()
	c.feed(roster.Elected{Plan: p, Intent: i, Nonce: r.nonce})
	c.feed(roster.Committed{Step: c.committed})
}

// depose ends the term.
func (c *coordinator) depose(why string) {
	r := c.term
	if r == nil {
		return
	}
	c.w.say("%s no longer leads: %s", c.p.name, why)
	c.term, r.over, r.workers.ended = nil, true, true
	c.p.ignore(topicSuspect, "")
	c.p.ignore(topicControl, "")
	for _, request := range r.orders.End() {
		c.p.answer(request, nil, errDeposed)
	}
	c.standing = nil
	r.candidacy.resign(c.campaign)
}

var errDeposed = errors.New("it has just ceased to lead")

// receive implements role.
func (c *coordinator) receive(e envelope) {
	switch e.subject.topic {
	case topicBeat:
		c.feed(roster.Beat{Beat: e.body.(wire.Beat)})
	case topicCommitted:
		c.committed = max(c.committed, e.body.(wire.Committed).Step)
		c.feed(roster.Committed{Step: c.committed})
	case topicSuspect:
		c.feed(roster.Suspected{Suspicion: e.body.(wire.Suspicion)})
	case topicControl:
		if r := c.term; r != nil {
			c.feed(roster.Requested{Control: e.body.(wire.Control), Token: r.orders.Request(e)})
		}
	}
}

// feed hands an event to the roster and carries out what follows.
func (c *coordinator) feed(e roster.Event) {
	r := c.term
	if r == nil {
		return
	}
	for _, f := range r.roster.Handle(c.w.time(), e) {
		c.carry(r, f)
	}
}

func (c *coordinator) carry(r *term, f roster.Effect) {
	switch f := f.(type) {
	case roster.WritePlan:
		c.w.say("%s decides on plan %d: %s", c.p.name, f.Plan.Generation, described(f.Plan))
		r.order(f)
	case roster.WriteIntent, roster.Evict, roster.Reply:
		r.order(f)
	case roster.Probe:
		c.p.ask(topicPin, f.ID, nil, failureTimeout, func(_ any, err error) {
			if errors.Is(err, errNoResponders) && !r.over {
				c.feed(roster.ConnectionGone{ID: f.ID, Incarnation: f.Incarnation})
			}
		})
	case roster.Record:
		c.outbox.Add(f.Event)
		c.sendEvents()
	case roster.StateChanged:
		c.w.say("%s: %s: %s", c.p.name, f.State, f.Reason)
		c.w.oracle.state(f.State)
	}
}

// sendEvents sends what the outbox holds, unless that is under way.
func (c *coordinator) sendEvents() {
	if batch := c.outbox.Next(); len(batch) > 0 {
		c.deliver(batch)
	}
}

func (c *coordinator) deliver(batch []wire.Event) {
	c.p.ask(topicEvents, "", batch, 3*time.Second, func(_ any, err error) {
		if c.w.bug == LoseEvents {
			err = nil
		}
		keys, retry := c.outbox.Sent(err)
		if retry > 0 {
			c.p.after(retry, func() { c.deliver(batch) })
			return
		}
		c.feed(roster.Acknowledged{Keys: keys})
		c.sendEvents()
	})
}

// askCommitted finds out which step is durable.
func (r *term) askCommitted() {
	p := r.c.p
	p.ask(topicInfo, wire.IDCheckpoint, nil, 3*time.Second, func(body any, err error) {
		switch {
		case r.over:
		case err != nil:
			p.after(500*time.Millisecond, r.askCommitted)
		default:
			if info := body.(wire.SnapshotInfo); info.Found {
				r.c.committed = max(r.c.committed, info.Step)
				r.c.feed(roster.Committed{Step: info.Step})
			}
		}
	})
}
