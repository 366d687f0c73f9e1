package coordinator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// begin starts a term.
func (c *coordinator) begin(t *term) {
	c.term = t
	t.roster = roster.New(rosterConfig(t.spec, c.corpus))
	c.throughput.begin(wire.Lineage{}) // another may have led meanwhile
	c.reconnects = c.cfg.Bus.Reconnects()
	var err error
	t.unsubscribe, err = c.subscribe(t, map[string]func(*bus.Message){
		c.subjects.Suspect(): c.onSuspect, c.subjects.Control(): c.onControl, c.subjects.Status(): c.onStatus,
	})
	t.work.Go(func() { t.carryOut(c.log, c.results) })
	t.work.Go(func() { t.askCommitted(c.cfg.Bus, c.subjects, c.results) })
	if err != nil {
		c.log.Error("begin to lead", zap.Error(err))
		c.depose("nothing can be heard")
		return
	}
	c.log.Info("elected", zap.Uint64("generation", t.plan.Generation))
	c.feed(roster.Elected{Plan: t.plan, Intent: t.intent, Nonce: t.nonce})
	c.feed(roster.Committed{Step: c.committed})
}

// depose ends the term, if there is one.
func (c *coordinator) depose(why string) {
	t := c.term
	if t == nil {
		return
	}
	c.term = nil
	if t.unsubscribe != nil {
		t.unsubscribe()
	}
	t.end()
	c.log.Info("no longer elected", zap.String("reason", why))
}

// feed hands an event to the roster and carries out its effects.
func (c *coordinator) feed(e roster.Event) {
	t := c.term
	if t == nil {
		return
	}
	if n := c.cfg.Bus.Reconnects(); n != c.reconnects { // before silence counts as evidence
		c.reconnects = n
		c.log.Info("connected to NATS again")
		c.carryAll(t, roster.Reconnected{})
	}
	c.carryAll(t, e)
}

func (c *coordinator) carryAll(t *term, e roster.Event) {
	for _, f := range t.roster.Handle(time.Now(), e) {
		c.carry(t, f)
	}
}

func (c *coordinator) carry(t *term, f roster.Effect) {
	switch f := f.(type) {
	case roster.WritePlan:
		p := f.Plan
		c.log.Info("plan", zap.Uint64("generation", p.Generation), zap.Int("world", len(p.Members)), zap.String("reason", p.Reason))
		t.order(f)
	case roster.WriteIntent:
		c.log.Info("intent", zap.Bool("stop", f.Intent.Stop), zap.Int("workers", f.Intent.Workers), zap.Strings("drain", f.Intent.Drain), zap.String("reason", f.Intent.Reason))
		t.order(f)
	case roster.Evict:
		c.log.Info("evict", zap.String("worker", f.ID), zap.String("incarnation", f.Incarnation))
		t.order(f)
	case roster.Reply:
		t.order(f)
	case roster.Probe:
		within := c.cfg.Spec.FailureTimeout
		t.work.Go(func() { t.probe(c.cfg.Bus, c.subjects, f, within, c.results) })
	case roster.Record:
		c.outbox.add(f.Event)
		if f.Event.Kind != wire.EventMembership && f.Event.Reason != "" { // a lineage needs no words
			c.log.Warn(f.Event.Reason)
		}
	case roster.StateChanged:
		c.log.Info("state", zap.String("state", string(f.State)), zap.String("reason", f.Reason))
	}
}

func (c *coordinator) onResult(r result) {
	if r.term != c.term {
		return // of a term that ended
	}
	if r.lost != nil {
		c.depose(r.lost.Error())
		return
	}
	if e, ok := r.event.(roster.Committed); ok {
		c.committed = max(c.committed, e.Step)
	}
	c.feed(r.event)
}

// probe finds out whether a worker's connection is still there: if not, nobody listens to its
// subject.
func (t *term) probe(conn bus.Conn, subjects wire.Subjects, a roster.Probe, within time.Duration, results chan<- result) {
	ctx, cancel := context.WithTimeout(t.ctx, within)
	defer cancel()
	// An empty request to pin a state is rejected at once. An answer with the digest of
	// the state would take seconds for a large model.
	if err := bus.Deliver(ctx, conn, subjects.Pin(a.ID), nil); errors.Is(err, bus.ErrNoResponders) {
		t.post(results, result{event: roster.ConnectionGone{ID: a.ID, Incarnation: a.Incarnation}})
	}
}

// askCommitted finds out which step is durable: that may have changed while there was no
// leader.
func (t *term) askCommitted(conn bus.Conn, subjects wire.Subjects, results chan<- result) {
	var info wire.SnapshotInfo
	err := waiting.Retry(t.ctx, waiting.Every(500*time.Millisecond), func(ctx context.Context) (answered bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, eventsWithin)
		defer cancel()
		info, err = bus.Request[wire.SnapshotInfo](ctx, conn, subjects.SnapshotInfo(wire.IDCheckpoint), nil)
		return err == nil, err // else the service is not up yet
	})
	if err == nil && info.Found {
		t.post(results, result{event: roster.Committed{Step: info.Step}})
	}
}

// post hands an event to the loop, unless the term ends first.
func (t *term) post(results chan<- result, r result) {
	r.term = t
	select {
	case results <- r:
	case <-t.ctx.Done():
	}
}
