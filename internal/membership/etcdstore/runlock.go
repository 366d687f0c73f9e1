package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// lockEvery is the pause between two looks at a lock that another process holds.
const lockEvery = 200 * time.Millisecond

// runLock implements membership.RunLock.
type runLock struct {
	store   *Store
	holder  membership.Holder
	ttl     int64 // seconds
	session *concurrency.Session
}

// LockRun implements membership.SharedStore.
func (s *Store) LockRun(ctx context.Context, h membership.Holder, ttl time.Duration) (membership.RunLock, error) {
	l := &runLock{store: s, holder: h, ttl: max(int64(ttl.Round(time.Second)/time.Second), 1)}
	if err := l.take(ctx); err != nil {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("lock the run: %w", err), l.Release(releasing))
	}
	return l, nil
}

// Keep implements membership.RunLock.
func (l *runLock) Keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.session.Done():
		}
		err := l.take(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, membership.ErrLocked):
			return fmt.Errorf("etcd was away for so long that the lock of the run ended, and %w", err)
		case err != nil: // etcd is still away
			l.session.Orphan() // the attempt may have made a lease
			waiting.Pause(ctx, lockEvery)
		}
	}
}

// take waits until the run is free, and locks it under a new lease.
func (l *runLock) take(ctx context.Context) error {
	client, key := l.store.client, l.store.keys.Up()
	value, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	lease, err := client.Grant(ctx, l.ttl)
	if err != nil {
		return err
	}
	// The session lives until Release, even if the context of this call ends before.
	session, err := concurrency.NewSession(client, concurrency.WithLease(lease.ID))
	if err != nil {
		return err
	}
	l.session = session
	put := clientv3.OpPut(key, string(value), clientv3.WithLease(lease.ID))
	for lowest := l.ttl; ; {
		r, err := client.Get(ctx, key)
		if err != nil {
			return err
		}
		free, revision := true, int64(0)
		if len(r.Kvs) > 0 {
			var left int64
			if free, left, err = l.mayTake(ctx, r.Kvs[0].Value, clientv3.LeaseID(r.Kvs[0].Lease), lowest); err != nil {
				return err
			}
			lowest, revision = left, r.Kvs[0].ModRevision
		}
		if free {
			t, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(put).Commit()
			if err != nil {
				return err
			}
			if t.Succeeded {
				return nil
			}
		}
		if err := waiting.Rest(ctx, lockEvery); err != nil {
			return err
		}
	}
}

// mayTake reports whether the holder of the lock runs in the same folder as this process,
// and for how many seconds the lease of the lock goes on. ErrLocked says that another
// process has renewed the lease.
func (l *runLock) mayTake(ctx context.Context, value []byte, lease clientv3.LeaseID, lowest int64) (free bool, left int64, err error) {
	var held membership.Holder
	if err := json.Unmarshal(value, &held); err != nil {
		return false, 0, fmt.Errorf("read the lock: %w", err)
	}
	r, err := l.store.client.TimeToLive(ctx, lease)
	if err != nil {
		return false, 0, err
	}
	if free = held.Same(l.holder); !free && r.TTL > lowest {
		return false, 0, fmt.Errorf("%w: process %d on %s, in %s", membership.ErrLocked, held.PID, held.Host, held.Folder)
	}
	return free, r.TTL, nil
}

// ReplaceSpec implements membership.RunLock.
func (l *runLock) ReplaceSpec(ctx context.Context, spec []byte) error {
	if _, err := l.store.client.Put(ctx, l.store.keys.Spec(), string(spec)); err != nil {
		return fmt.Errorf("write spec: %w", err)
	}
	return nil
}

// Reset implements membership.RunLock.
func (l *runLock) Reset(ctx context.Context, gone func(wire.Registration) bool) error {
	client, keys := l.store.client, l.store.keys
	leaders, err := client.Get(ctx, keys.Election(), clientv3.WithFirstCreate()...)
	if err != nil {
		return fmt.Errorf("remove the intent of an earlier start: %w", err)
	}
	forget := []clientv3.Op{clientv3.OpDelete(keys.Intent())}
	for _, leader := range leaders.Kvs {
		forget = append(forget, clientv3.OpDelete(string(leader.Key)))
	}
	if _, err := client.Txn(ctx).Then(forget...).Commit(); err != nil {
		return fmt.Errorf("remove the intent of an earlier start: %w", err)
	}
	r, err := client.Get(ctx, keys.Workers(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read registrations: %w", err)
	}
	for _, kv := range r.Kvs {
		var w wire.Registration
		if wire.Decode(kv.Value, &w) == nil && !gone(w) {
			continue
		}
		unchanged := clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)
		if _, err := client.Txn(ctx).If(unchanged).Then(clientv3.OpDelete(string(kv.Key))).Commit(); err != nil {
			return fmt.Errorf("forget %s: %w", kv.Key, err)
		}
	}
	return nil
}

// Clean implements membership.RunLock.
func (l *runLock) Clean(ctx context.Context) error {
	prefix, up := l.store.keys.Prefix(), l.store.keys.Up()
	for _, part := range [][2]string{{prefix, up}, {up + "\x00", clientv3.GetPrefixRangeEnd(prefix)}} {
		if _, err := l.store.client.Delete(ctx, part[0], clientv3.WithRange(part[1])); err != nil {
			return fmt.Errorf("remove the keys of the run: %w", err)
		}
	}
	return nil
}

// Release implements membership.RunLock.
func (l *runLock) Release(ctx context.Context) error {
	if l.session == nil {
		return nil
	}
	l.session.Orphan() // ends its renewals
	if _, err := l.store.client.Revoke(ctx, l.session.Lease()); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("release the run: %w", err) // the lock ends by itself
	}
	return nil
}

// Secret implements membership.SharedStore.
func (s *Store) Secret(ctx context.Context, offered string) (string, error) {
	key := s.keys.Secret()
	r, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0), clientv3.Compare(clientv3.CreateRevision(s.keys.Spec()), ">", 0)).
		Then(clientv3.OpPut(key, offered), clientv3.OpGet(key)).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	got := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
	if len(got) == 0 {
		return "", membership.ErrNoRun
	}
	return string(got[0].Value), nil
}
