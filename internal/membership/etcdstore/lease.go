package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// lease is one registration, kept alive by one goroutine.
type lease struct {
	store *Store
	key   string
	ttl   time.Duration
	stop  context.CancelFunc
	done  chan struct{} // the goroutine has ended
	lost  chan struct{}

	mu     sync.Mutex // held while the key is written
	reg    wire.Registration
	id     clientv3.LeaseID
	closed bool
}

// Register implements membership.Store.
func (s *Store) Register(ctx context.Context, r wire.Registration, ttl time.Duration) (membership.Lease, error) {
	l := &lease{
		store: s, key: s.keys.Worker(r.ID), ttl: max(ttl.Round(time.Second), time.Second), reg: r,
		done: make(chan struct{}), lost: make(chan struct{}),
	}
	if err := l.create(ctx); err != nil {
		return nil, fmt.Errorf("register %s: %w", r.ID, err)
	}
	// The lease outlives the call that made it, and ends with Close.
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go l.keep(keep)
	return l, nil
}

// create writes the registration under a new lease. The caller holds mu, or nobody else
// has the lease yet.
func (l *lease) create(ctx context.Context) error {
	value, err := wire.Encode(l.reg)
	if err != nil {
		return err
	}
	c := l.store.client
	grant, err := c.Grant(ctx, int64(l.ttl/time.Second))
	if err != nil {
		return err
	}
	put := clientv3.OpPut(l.key, string(value), clientv3.WithLease(grant.ID))
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(l.key), "=", 0)).
		Then(put).Else(clientv3.OpGet(l.key)).Commit()
	if err == nil && !r.Succeeded {
		kv := r.Responses[0].GetResponseRange().Kvs[0]
		var held wire.Registration
		if err = wire.Decode(kv.Value, &held); err == nil && held.Incarnation != l.reg.Incarnation {
			err = fmt.Errorf("%w (incarnation %s, process %d on %s)", membership.ErrTaken, held.Incarnation, held.PID, held.Host)
		}
		if err == nil { // this incarnation wrote it before, and the answer was lost
			r, err = c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(l.key), "=", kv.ModRevision)).Then(put).Commit()
			if err == nil && !r.Succeeded {
				err = membership.ErrTaken
			}
		}
	}
	if err != nil {
		return errors.Join(err, l.revoke(ctx, grant.ID))
	}
	l.id = grant.ID
	return nil
}

// revoke ends a lease of etcd. It is no error if the lease is gone already.
func (l *lease) revoke(ctx context.Context, id clientv3.LeaseID) error {
	_, err := l.store.client.Revoke(ctx, id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// keep renews the lease until ctx ends or the registration is lost.
func (l *lease) keep(ctx context.Context) {
	defer close(l.done)
	for waiting.Rest(ctx, l.ttl/3) == nil {
		err := l.renew(ctx)
		switch {
		case errors.Is(err, membership.ErrLost), errors.Is(err, membership.ErrTaken):
			l.store.log.Warn("registration lost", zap.String("worker", l.reg.ID), zap.Error(err))
			close(l.lost)
			return
		case err != nil && ctx.Err() == nil:
			l.store.log.Debug("renew registration", zap.String("worker", l.reg.ID), zap.Error(err))
		}
	}
}

// renew keeps the lease alive, or writes the registration again if the lease had expired.
// ErrLost says that the worker was evicted, ErrTaken that another one has the ID.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.store.client.KeepAliveOnce(ctx, l.id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return l.create(ctx)
	}
	if err != nil {
		return err
	}
	r, err := l.store.client.Get(ctx, l.key)
	switch {
	case err != nil:
		return err
	case len(r.Kvs) == 0:
		return membership.ErrLost
	case r.Kvs[0].Lease != int64(l.id):
		return membership.ErrTaken
	}
	return nil
}

// Update implements membership.Lease.
func (l *lease) Update(ctx context.Context, r wire.Registration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.ID != l.reg.ID || r.Incarnation != l.reg.Incarnation {
		return fmt.Errorf("update %s: the registration is that of %s, incarnation %s", r.ID, l.reg.ID, l.reg.Incarnation)
	}
	value, err := wire.Encode(r)
	if err != nil {
		return err
	}
	over := l.closed
	select {
	case <-l.lost:
		over = true
	default:
	}
	if over {
		return fmt.Errorf("update %s: %w", r.ID, membership.ErrLost)
	}
	l.reg = r // renew writes this one after an outage
	t, err := l.store.client.Txn(ctx).If(clientv3.Compare(clientv3.LeaseValue(l.key), "=", l.id)).
		Then(clientv3.OpPut(l.key, string(value), clientv3.WithLease(l.id))).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound) || err == nil && !t.Succeeded:
		// The lease expired, or the worker was evicted, or another has the ID: to write the
		// registration again tells which.
		if _, err := l.store.client.KeepAliveOnce(ctx, l.id); err == nil {
			return fmt.Errorf("update %s: %w", r.ID, membership.ErrLost)
		}
		if err := l.create(ctx); err != nil {
			return fmt.Errorf("update %s: %w", r.ID, err)
		}
	case err != nil:
		return fmt.Errorf("update %s: %w", r.ID, err)
	}
	return nil
}

// Lost implements membership.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Close implements membership.Lease.
func (l *lease) Close(ctx context.Context) error {
	l.stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if err := l.revoke(ctx, l.id); err != nil {
		return fmt.Errorf("unregister %s: %w", l.reg.ID, err)
	}
	return nil
}
