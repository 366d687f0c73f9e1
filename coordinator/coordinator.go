package coordinator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
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

// coordinator is a running one. The loop owns all but the outbox.
type coordinator struct {
	cfg      Config
	log      *zap.Logger
	subjects wire.Subjects
	corpus   string // hash
	outbox   *outbox
	messages chan *nats.Msg
	handlers map[*nats.Subscription]func(*nats.Msg)
	elected  chan *reign
	results  chan result

	reign     *reign // nil: another leads, or nobody
	sources   sources
	book      book
	hangs     hangs
	committed uint64
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
		outbox:   newOutbox(cfg.NATS, subjects.Events(), cfg.Log),
		messages: make(chan *nats.Msg, pending), handlers: map[*nats.Subscription]func(*nats.Msg){},
		elected: make(chan *reign), results: make(chan result),
		sources: sources{}, hangs: hangs{},
	}
	requests := make(chan *nats.Msg, pending)
	serving, err := cfg.NATS.ChanQueueSubscribe(subjects.Shard(), shardQueue, requests)
	if err != nil {
		return fmt.Errorf("coordinator: subscribe %s: %w", subjects.Shard(), err)
	}
	c.handlers[serving] = nil // the shard server takes its messages
	defer c.unsubscribe()
	if err := c.subscribe(map[string]func(*nats.Msg){
		subjects.Beats(): c.onBeat, subjects.Process(): c.onProcess, subjects.Committed(): c.onCommitted,
	}); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
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
	connected := c.cfg.NATS.StatusChanged(nats.CONNECTED)
	defer c.cfg.NATS.RemoveStatusListener(connected)
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
		case <-connected:
			c.log.Info("connected to NATS again")
			c.feed(roster.Reconnected{})
		case keys := <-c.outbox.told:
			c.feed(roster.Acknowledged{Keys: keys})
		case m := <-c.messages:
			if handle := c.handlers[m.Sub]; handle != nil {
				handle(m)
			}
		case <-tick.C:
			c.feed(roster.Tick{})
		}
	}
}

// subscribe hands what comes to the loop.
func (c *coordinator) subscribe(handlers map[string]func(*nats.Msg)) error {
	for subject, handle := range handlers {
		s, err := c.cfg.NATS.ChanSubscribe(subject, c.messages)
		if err != nil {
			return fmt.Errorf("subscribe %s: %w", subject, err)
		}
		c.handlers[s] = handle
	}
	return nil
}

// unsubscribe ends the subscriptions of some subjects, or all.
func (c *coordinator) unsubscribe(subjects ...string) {
	for s := range c.handlers {
		if len(subjects) > 0 && !slices.Contains(subjects, s.Subject) {
			continue
		}
		delete(c.handlers, s)
		if err := s.Unsubscribe(); err != nil {
			c.log.Debug("unsubscribe", zap.String("subject", s.Subject), zap.Error(err))
		}
	}
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
			sleep(ctx, time.Second)
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
