package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/shard"
)

const (
	// flushWithin bounds how long a coordinator that ends waits until the last events
	// are acknowledged, and resignAfter how long it stays elected meanwhile.
	flushWithin = 5 * time.Second // the service may just be starting again
	resignAfter = 500 * time.Millisecond
	// pending is how many messages may wait for the loop; more are dropped, as if they
	// were lost on the way.
	pending = 1 << 14
)

// delivery is a message that waits for the loop.
type delivery struct {
	message *bus.Message
	handle  func(*bus.Message)
	term    *term // in which it came, if it is for a leader only
}

// coordinator is a running coordinator. The loop owns all fields but the outbox.
type coordinator struct {
	cfg      Config
	log      *zap.Logger
	subjects wire.Subjects
	corpus   string // hash
	outbox   *outbox
	messages chan delivery
	elected  chan *term
	results  chan result

	term       *term  // nil: another leads, or nobody
	reconnects uint64 // of the bus, as far as the roster knows
	sources    sources
	throughput throughput
	hangs      hangs
	committed  uint64
}

// Run runs a coordinator. It returns nil when ctx ends, or an error if it cannot start.
// Everything that it started has ended then.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	manifest, err := shard.OpenManifest(cfg.CorpusDir)
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	shards, err := newShardServer(cfg.CorpusDir, manifest, cfg.Log)
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	subjects := wire.SubjectsOf(cfg.Spec.Run)
	c := &coordinator{
		cfg: cfg, log: cfg.Log, subjects: subjects, corpus: manifest.Digest(),
		outbox:   newOutbox(cfg.Bus, subjects.Events(), cfg.Log),
		messages: make(chan delivery, pending),
		elected:  make(chan *term), results: make(chan result),
		sources: sources{}, hangs: hangs{},
	}
	requests, unsubscribe, err := bus.Channel(cfg.Bus, pending, shardQueue, subjects.Shard())
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	defer unsubscribe()
	unsubscribe, err = c.subscribe(nil, map[string]func(*bus.Message){
		subjects.Beats(): c.onBeat, subjects.Process(): c.onProcess, subjects.Committed(): c.onCommitted,
	})
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	defer unsubscribe()
	c.log.Info("coordinator is up", zap.String("software", cfg.Software), zap.Int("shards", len(shards.shards)))

	inner, stop := context.WithCancel(ctx)
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	open, finish := context.WithCancel(sending)
	defer cut()
	var work sync.WaitGroup
	work.Go(func() { shards.run(inner, requests) })
	work.Go(func() { c.campaign(inner) })
	sent := make(chan struct{})
	go func() { defer close(sent); c.outbox.run(sending, open) }()

	c.loop(ctx)
	finish()
	select {
	case <-sent: // the next leader will find these events in the ledger
	case <-time.After(resignAfter):
	}
	c.depose("this process ends")
	stop()
	work.Wait()
	select {
	case <-sent:
	case <-time.After(flushWithin):
		cut()
		<-sent
	}
	return nil
}

// loop owns the state until ctx ends. It does not resign then.
func (c *coordinator) loop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Spec.FailureTimeout / 8)
	defer tick.Stop()
	for {
		var workers <-chan []wire.Registration
		var lost <-chan struct{}
		if c.term != nil {
			workers, lost = c.term.workers, c.term.leadership.Lost()
		}
		select {
		case <-ctx.Done():
			return
		case r := <-c.elected:
			c.begin(r)
		case <-lost:
			c.depose("the election is lost")
		case all, ok := <-workers:
			if !ok {
				c.depose("registrations can no longer be watched")
				continue
			}
			c.feed(roster.Registered{All: all})
		case r := <-c.results:
			c.onResult(r)
		case keys := <-c.outbox.acknowledged:
			c.feed(roster.Acknowledged{Keys: keys})
		case h := <-c.messages:
			if h.term == nil || h.term == c.term {
				h.handle(h.message)
			}
		case <-tick.C:
			c.feed(roster.Tick{})
		}
	}
}

// subscribe hands messages to the loop, during a term, or always if it is nil.
func (c *coordinator) subscribe(t *term, handlers map[string]func(*bus.Message)) (stop func(), err error) {
	s := bus.Subscription{Handlers: map[string]func(*bus.Message){}, Pending: pending}
	for subject, handle := range handlers {
		s.Handlers[subject] = func(m *bus.Message) {
			select {
			case c.messages <- delivery{m, handle, t}:
			default: // as if it was lost on the way
			}
		}
	}
	return c.cfg.Bus.Subscribe(s)
}

// campaign runs for election until ctx ends. After each term it runs again.
func (c *coordinator) campaign(ctx context.Context) {
	for ctx.Err() == nil {
		t, err := c.stand(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("campaign", zap.Error(err))
			}
			waiting.Pause(ctx, time.Second)
			continue
		}
		select {
		case c.elected <- t:
			<-t.ended
		case <-ctx.Done():
			t.end()
		}
		t.resign(ctx, c.log)
	}
}

// stand waits until this coordinator is elected, and reads the stored plan and intent.
func (c *coordinator) stand(ctx context.Context) (*term, error) {
	l, err := c.cfg.Store.Campaign(ctx, c.cfg.ID, c.cfg.ttl())
	if err != nil {
		return nil, err
	}
	t := newTerm(ctx, l)
	if err := t.load(c.cfg.Store, c.cfg.Spec); err != nil {
		t.end()
		t.resign(ctx, c.log)
		return nil, fmt.Errorf("begin to lead: %w", err)
	}
	return t, nil
}
