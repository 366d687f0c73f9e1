package etcdstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// pause is the time between attempts while etcd is away.
const pause = 100 * time.Millisecond

// WatchWorkers implements membership.Store.
func (s *Store) WatchWorkers(ctx context.Context) (<-chan []wire.Registration, error) {
	return watch(ctx, s, s.keys.Workers(), func(held map[string][]byte) ([]wire.Registration, bool) {
		all := make([]wire.Registration, 0, len(held))
		for _, key := range slices.Sorted(maps.Keys(held)) {
			var r wire.Registration
			if err := wire.Decode(held[key], &r); err != nil {
				s.log.Warn("registration", zap.String("key", key), zap.Error(err))
				continue
			}
			all = append(all, r)
		}
		return all, true
	}, clientv3.WithPrefix())
}

// WatchPlan implements membership.Store.
func (s *Store) WatchPlan(ctx context.Context) (<-chan wire.Plan, error) {
	return watch(ctx, s, s.keys.Plan(), one[wire.Plan](s, s.keys.Plan()))
}

// WatchIntent implements membership.Store.
func (s *Store) WatchIntent(ctx context.Context) (<-chan wire.Intent, error) {
	read, had := one[wire.Intent](s, s.keys.Intent()), false
	return watch(ctx, s, s.keys.Intent(), func(held map[string][]byte) (wire.Intent, bool) {
		i, ok := read(held)
		had = had || ok
		return i, ok || had && len(held) == 0 // an intent that was removed asks for nothing
	})
}

// one decodes the value of a single key.
func one[T any](s *Store, key string) func(map[string][]byte) (T, bool) {
	return func(held map[string][]byte) (v T, ok bool) {
		b, ok := held[key]
		if !ok {
			return v, false
		}
		if err := wire.Decode(b, &v); err != nil {
			s.log.Warn("watch", zap.String("key", key), zap.Error(err))
			return v, false
		}
		return v, true
	}
}

// watch delivers the result of read for the values under a key, now and after every
// change, until ctx ends.
func watch[T any](ctx context.Context, s *Store, key string, read func(map[string][]byte) (T, bool), opts ...clientv3.OpOption) (<-chan T, error) {
	held, next, err := snapshot(ctx, s.client, key, opts)
	if err != nil {
		return nil, err
	}
	out := membership.NewLatest[T]()
	tell := func() {
		if v, ok := read(held); ok {
			out.Put(v)
		}
	}
	tell()
	go func() { // ends with ctx
		defer out.Close()
		for {
			follow(ctx, s.client, key, next, opts, held, tell)
			for {
				if waiting.Rest(ctx, pause) != nil {
					return
				}
				// The snapshot has what the watch may have missed.
				if h, n, err := snapshot(ctx, s.client, key, opts); err == nil {
					held, next = h, n
					break
				}
			}
			tell()
		}
	}()
	return out.C(), nil
}

// snapshot returns the values under a key and the revision after them.
func snapshot(ctx context.Context, c *clientv3.Client, key string, opts []clientv3.OpOption) (map[string][]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := c.Get(ctx, key, opts...)
	if err != nil {
		return nil, 0, fmt.Errorf("watch %s: %w", key, err)
	}
	held := make(map[string][]byte, len(r.Kvs))
	for _, kv := range r.Kvs {
		held[string(kv.Key)] = kv.Value
	}
	return held, r.Header.Revision + 1, nil
}

// follow applies changes from a revision on until the watch breaks.
func follow(ctx context.Context, c *clientv3.Client, key string, from int64, opts []clientv3.OpOption, held map[string][]byte, tell func()) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for r := range c.Watch(ctx, key, append([]clientv3.OpOption{clientv3.WithRev(from)}, opts...)...) {
		if r.Err() != nil {
			return
		}
		for _, e := range r.Events {
			if e.Type == clientv3.EventTypeDelete {
				delete(held, string(e.Kv.Key))
			} else {
				held[string(e.Kv.Key)] = e.Kv.Value
			}
		}
		if len(r.Events) > 0 {
			tell()
		}
	}
}
