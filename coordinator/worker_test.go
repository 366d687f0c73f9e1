package coordinator_test

import (
	"context"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// tokens of a step of the worker below.
const stepTokens = 100

// worker is a fake: it registers, sends heartbeats and, as a member, applies a
// step at each.
type worker struct {
	c     *cluster
	reg   wire.Registration
	lease membership.Lease

	mu      sync.Mutex
	plan    wire.Plan
	step    uint64
	begun   wire.Lineage
	limit   uint64 // goes no further
	stopped bool
}

// worker starts one. It ends with the test, or when kill is called.
func (c *cluster) worker(id string, step, limit uint64) (w *worker, kill func()) {
	c.t.Helper()
	return c.workerWith(id, step, limit, func(*wire.Registration) {})
}

// workerWith changes what it registers with.
func (c *cluster) workerWith(id string, step, limit uint64, change func(*wire.Registration)) (w *worker, kill func()) {
	c.t.Helper()
	w = &worker{c: c, step: step, limit: limit, reg: wire.Registration{
		ID: id, Incarnation: id + "-" + runspec.NewRunID(), Host: "host", PID: 1000, Mailbox: "nats://" + id, Build: buildinfo.Version,
		SpecHash: c.spec.Hash(), CorpusHash: c.corpus.Digest(), Fingerprint: "same", Speed: 3, Step: step,
	}}
	change(&w.reg)
	store, conn := c.connect(), c.dial()
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if w.lease, err = store.Register(ctx, w.reg, time.Second); err != nil {
		c.t.Fatal(err)
	}
	plans, err := store.WatchPlan(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	intents, err := store.WatchIntent(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := bus.Subscribe(conn, c.subjects.Pin(id), func(m *bus.Message) { _ = m.Respond(bus.Message{}) }); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case p, ok := <-plans:
				if ok {
					w.mu.Lock()
					w.plan = p
					w.mu.Unlock()
				}
			case i, ok := <-intents:
				w.mu.Lock()
				w.stopped = ok && i.Stop
				w.mu.Unlock()
			case <-tick.C:
				w.beat(conn)
			}
		}
	}()
	kill = sync.OnceFunc(func() {
		cancel()
		<-ended
		conn.Close()
		if m, ok := store.(*memstore.Store); ok {
			m.Crash()
		}
	})
	c.t.Cleanup(kill)
	return w, kill
}

func (w *worker) beat(conn bus.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := wire.Beat{ID: w.reg.ID, Incarnation: w.reg.Incarnation, Rank: w.plan.Rank(w.reg.ID, w.reg.Incarnation), State: wire.WorkerJoining, Generation: w.plan.Generation, Joules: 10, Watts: 4, Speed: 8}
	if b.Rank == 0 && w.begun.Generation == 0 { // the others agree
		w.begun = wire.Lineage{Session: w.plan.Session, Generation: w.plan.Generation, From: w.step, Since: w.plan.Since}
	}
	b.Lineage = w.begun
	if b.Rank >= 0 {
		b.State, b.StepSeconds, b.LearningRate = "computing", 0.02, 1e-3
		switch {
		case w.stopped || w.step >= w.c.spec.Steps:
			b.State = wire.WorkerStopped
		case w.step < w.limit:
			w.step++
		}
		if w.step > w.reg.Step {
			b.Tokens, b.Loss, b.MLMLoss = stepTokens, 8-number.Float(w.step)/1000, 7
		}
	}
	b.Step = w.step
	if err := bus.Publish(conn, w.c.subjects.Beat(b.ID), b); err != nil {
		w.c.t.Error(err)
	}
}

// at returns the step and the plan that it knows.
func (w *worker) at() (uint64, wire.Plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.step, w.plan
}
