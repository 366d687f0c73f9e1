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
	// partWithin bounds how long the end of a coordinator waits for the last
	// events to be acknowledged, and handOver how long it stays elected meanwhile.
	partWithin = 5 * time.Second // the service may just be starting again
	handOver   = 500 * time.Millisecond
	// pending is how many messages may wait for the loop; more are dropped, as
	// if they had been lost on the way.
	pending = 1 << 14
)

// heard is a message that waits for the loop.
type heard struct {
	message *bus.Message
	handle  func(*bus.Message)
	reign   *reign // in which it was heard, if only a leader hears it
}

// coordinator is a running one. The loop owns all but the outbox.
type coordinator struct {
	cfg      Config
	log      *zap.Logger
	subjects wire.Subjects
	corpus   string // hash
	outbox   *outbox
	messages chan heard
	elected  chan *reign
	results  chan result

	reign      *reign // nil: another leads, or nobody
	reconnects uint64 // of the bus, as far as the roster knows
	sources    sources
	throughput throughput
	hangs      hangs
	committed  uint64
}

// Run is a coordinator. It returns nil when ctx ends, or an error if it cannot
// begin; everything that it started has ended then.
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
		messages: make(chan heard, pending),
		elected:  make(chan *reign), results: make(chan result),
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
	case <-sent: // whoever is elected next has heard what was told
	case <-time.After(handOver):
	}
	c.depose("this process ends")
	stop()
	work.Wait()
	select {
	case <-sent:
	case <-time.After(partWithin):
		cut()
		<-sent
	}
	return nil
}

// loop owns the state until ctx ends; the election is not given back then.
func (c *coordinator) loop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Spec.FailureTimeout / 8)
	defer tick.Stop()
	for {
		var workers <-chan []wire.Registration
		var lost <-chan struct{}
		if c.reign != nil {
			workers, lost = c.reign.workers, c.reign.leadership.Lost()
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
				c.depose("registrations are not seen any more")
				continue
			}
			c.feed(roster.Registered{All: all})
		case r := <-c.results:
			c.onResult(r)
		case keys := <-c.outbox.told:
			c.feed(roster.Acknowledged{Keys: keys})
		case h := <-c.messages:
			if h.reign == nil || h.reign == c.reign {
				h.handle(h.message)
			}
		case <-tick.C:
			c.feed(roster.Tick{})
		}
	}
}

// subscribe hands what comes to the loop, in the reign r, or always if that is nil.
func (c *coordinator) subscribe(r *reign, handlers map[string]func(*bus.Message)) (stop func(), err error) {
	s := bus.Subscription{Handlers: map[string]func(*bus.Message){}, Pending: pending}
	for subject, handle := range handlers {
		s.Handlers[subject] = func(m *bus.Message) {
			select {
			case c.messages <- heard{m, handle, r}:
			default: // as if it had been lost on the way
			}
		}
	}
	return c.cfg.Bus.Subscribe(s)
}

// campaign stands for election until ctx ends; a reign that ended is followed by
// another campaign.
func (c *coordinator) campaign(ctx context.Context) {
	for ctx.Err() == nil {
		r, err := c.stand(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("campaign", zap.Error(err))
			}
			waiting.Pause(ctx, time.Second)
			continue
		}
		select {
		case c.elected <- r:
			<-r.ended
		case <-ctx.Done():
			r.end()
		}
		r.resign(ctx, c.log)
	}
}

// stand waits for the election and reads what is stored.
func (c *coordinator) stand(ctx context.Context) (*reign, error) {
	l, err := c.cfg.Store.Campaign(ctx, c.cfg.ID, c.cfg.ttl())
	if err != nil {
		return nil, err
	}
	r := newReign(ctx, l)
	if err := r.load(c.cfg.Store, c.cfg.Spec); err != nil {
		r.end()
		r.resign(ctx, c.log)
		return nil, fmt.Errorf("begin to lead: %w", err)
	}
	return r, nil
}
