package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
)

// failing is a store whose calls fail as often as is said.
type failing struct {
	membership.Store
	register, watch func(call int) error
	calls           struct{ register, plan, intent int }
}

func next(calls *int, say func(call int) error) error {
	*calls++
	if say == nil {
		return nil
	}
	return say(*calls)
}

func (f *failing) Register(ctx context.Context, r wire.Registration, ttl time.Duration) (membership.Lease, error) {
	if err := next(&f.calls.register, f.register); err != nil {
		return nil, err
	}
	return f.Store.Register(ctx, r, ttl)
}

func (f *failing) WatchPlan(ctx context.Context) (<-chan wire.Plan, error) {
	if err := next(&f.calls.plan, f.watch); err != nil {
		return nil, err
	}
	return f.Store.WatchPlan(ctx)
}

func (f *failing) WatchIntent(ctx context.Context) (<-chan wire.Intent, error) {
	if err := next(&f.calls.intent, f.watch); err != nil {
		return nil, err
	}
	return f.Store.WatchIntent(ctx)
}

var errAway = errors.New("the store is away")

// TestAnOutageDoesNotEndAWorker has a worker begin while the store, or the source of the
// corpus, is away.
func TestAnOutageDoesNotEndAWorker(t *testing.T) {
	const steps = 4
	for name, change := range map[string]func(c *Config){
		"the store is away after the registration": func(c *Config) {
			c.Store = &failing{Store: c.Store, watch: func(call int) error {
				if call <= 2 {
					return errAway
				}
				return nil
			}}
		},
		// Longer than a lease, which begins again when the store is back: the ID is still
		// that of the incarnation before.
		"the store is away for long, and the ID is taken then": func(c *Config) {
			begun := time.Now()
			away := c.leaseTTL() + 2*c.Spec.FailureTimeout
			c.Store = &failing{Store: c.Store, register: func(int) error {
				switch d := time.Since(begun); {
				case d < away:
					return errAway
				case d < away+time.Second:
					return membership.ErrTaken
				}
				return nil
			}}
		},
		"nobody gives a shard": func(c *Config) {
			draw := c.Batch
			var calls atomic.Int32
			c.Batch = func(step uint64, index int) (sampler.Batch, error) {
				if step == 2 && calls.Add(1) <= 4 {
					return sampler.Batch{}, fmt.Errorf("fetch shard: %w", shard.ErrUnavailable)
				}
				return draw(step, index)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := calm(t, steps)
				c := newCluster(t, steps)
				w := c.startWith("a", func(uint64, *pureTrainer) {}, change)
				c.registered("a")
				c.plan(1, "a")
				w.end(t, nil)
				if got := c.final(); got != want {
					t.Errorf("ends with %s, undisturbed with %s", got, want)
				}
			})
		})
	}
}

// TestWhoWaitsLeavesWhenAsked asks a worker to leave that cannot begin yet.
func TestWhoWaitsLeavesWhenAsked(t *testing.T) {
	for name, change := range map[string]func(c *cluster, cfg *Config){
		"for the checkpoint service": func(c *cluster, _ *Config) { c.conn.Close() },
		"for a shard": func(_ *cluster, cfg *Config) {
			cfg.Batch = func(uint64, int) (sampler.Batch, error) { return sampler.Batch{}, shard.ErrUnavailable }
		},
		"for the store": func(_ *cluster, cfg *Config) {
			cfg.Store = &failing{Store: cfg.Store, watch: func(int) error { return errAway }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4)
				w := c.startWith("a", func(uint64, *pureTrainer) {}, func(cfg *Config) { change(c, cfg) })
				time.Sleep(300 * time.Millisecond)
				synctest.Wait() // it waits
				close(w.drain)
				w.end(t, ErrDrained)
			})
		})
	}
}
