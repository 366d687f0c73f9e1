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

	"github.com/gramme-project/gramme/internal/wire"
)

// lockTTL is how long a run lock outlives a process that vanished, in seconds.
const lockTTL = 10

// lockPause is the pause between two attempts to take a run lock.
const lockPause = 200 * time.Millisecond

// Holder names the holder of a run lock: one folder on one machine.
type Holder struct {
	Host    string `json:"host"`
	Machine string `json:"machine,omitempty"` // id of the machine, where it has one
	Boot    string `json:"boot,omitempty"`    // of its kernel
	Folder  string `json:"folder"`
	PID     int    `json:"pid"`
}

// same reports whether both are one folder of one machine. Names of machines repeat: a
// machine without an id is known to be the same until it is booted again.
func (h Holder) same(o Holder) bool {
	return h.Host == o.Host && h.Folder == o.Folder && h.Machine == o.Machine && (h.Machine != "" || h.Boot != "" && h.Boot == o.Boot)
}

// ErrLocked says that another `gramme up` runs the run.
var ErrLocked = errors.New("another `gramme up` runs it")

// RunLock is the right to run a run on shared services, and the store of that run. It
// guards the start. Two processes of `gramme up` can hold it only where etcd was out of
// reach for longer than the lock outlives its process, and then Keep tells one of them.
type RunLock struct {
	*Store
	holder  Holder
	session *concurrency.Session
}

// LockRun takes the lock of a run. A lock of the same folder of the same machine was left
// by a dead process, because the caller holds the folder. Another one is waited for until
// it ends, or is renewed: then its process lives. Release closes the client.
func LockRun(ctx context.Context, client *clientv3.Client, run string, h Holder) (*RunLock, error) {
	l := &RunLock{Store: New(client, run), holder: h}
	if err := l.take(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("lock run %s: %w", run, err), l.Release(ctx))
	}
	return l, nil
}

// Keep takes the lock again whenever it has ended, as it does when etcd is out of reach for
// long. It returns nil when ctx ends, or an error when another holds the lock.
func (l *RunLock) Keep(ctx context.Context) error {
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
		case errors.Is(err, ErrLocked):
			return fmt.Errorf("etcd was out of reach for so long that the lock of the run ended, and %w", err)
		case err != nil: // etcd is still out of reach
			l.session.Orphan() // the lease may have been granted
			select {
			case <-ctx.Done():
			case <-time.After(lockPause):
			}
		}
	}
}

func (l *RunLock) take(ctx context.Context) error {
	value, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	lease, err := l.client.Grant(ctx, lockTTL)
	if err != nil {
		return err
	}
	// It lives until Release, whatever bounds this call.
	session, err := concurrency.NewSession(l.client, concurrency.WithLease(lease.ID))
	if err != nil {
		return err
	}
	l.session = session
	key := l.keys.Up()
	put := clientv3.OpPut(key, string(value), clientv3.WithLease(l.session.Lease()))
	for lowest := int64(lockTTL); ; {
		r, err := l.client.Get(ctx, key)
		if err != nil {
			return err
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(key), "=", 0)
		free := len(r.Kvs) == 0
		if !free {
			var held Holder
			if err := json.Unmarshal(r.Kvs[0].Value, &held); err != nil {
				return fmt.Errorf("read its holder: %w", err)
			}
			free = held.same(l.holder)
			ttl, err := l.client.TimeToLive(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
			if err != nil {
				return err
			}
			if !free && ttl.TTL > lowest {
				return fmt.Errorf("%w: process %d on %s, in %s", ErrLocked, held.PID, held.Host, held.Folder)
			}
			lowest = ttl.TTL
			unchanged = clientv3.Compare(clientv3.ModRevision(key), "=", r.Kvs[0].ModRevision)
		}
		if free {
			t, err := l.client.Txn(ctx).If(unchanged).Then(put).Commit()
			if err != nil {
				return err
			}
			if t.Succeeded {
				return nil
			}
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReplaceSpec stores the spec of the run in place of an earlier one.
func (l *RunLock) ReplaceSpec(ctx context.Context, spec []byte) error {
	if _, err := l.client.Put(ctx, l.keys.Spec(), string(spec)); err != nil {
		return fmt.Errorf("write spec: %w", err)
	}
	return nil
}

// Renew forgets what an earlier start was asked to do, and the registrations whose
// processes have ended, as gone says. The leader, on whatever machine, loses the election:
// the next one reads what is asked for now.
func (l *RunLock) Renew(ctx context.Context, gone func(wire.Registration) bool) error {
	leaders, err := l.client.Get(ctx, l.keys.Election(), clientv3.WithFirstCreate()...)
	if err != nil {
		return fmt.Errorf("remove what an earlier start was asked to do: %w", err)
	}
	forget := []clientv3.Op{clientv3.OpDelete(l.keys.Intent())}
	for _, leader := range leaders.Kvs {
		forget = append(forget, clientv3.OpDelete(string(leader.Key)))
	}
	if _, err := l.client.Txn(ctx).Then(forget...).Commit(); err != nil {
		return fmt.Errorf("remove what an earlier start was asked to do: %w", err)
	}
	r, err := l.client.Get(ctx, l.keys.Workers(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read registrations: %w", err)
	}
	for _, kv := range r.Kvs {
		var w wire.Registration
		if wire.Decode(kv.Value, &w) == nil && !gone(w) {
			continue
		}
		unchanged := clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)
		if _, err := l.client.Txn(ctx).If(unchanged).Then(clientv3.OpDelete(string(kv.Key))).Commit(); err != nil {
			return fmt.Errorf("forget %s: %w", kv.Key, err)
		}
	}
	return nil
}

// Clean removes every key of the run but the lock.
func (l *RunLock) Clean(ctx context.Context) error {
	prefix, up := l.keys.Prefix(), l.keys.Up()
	for _, part := range [][2]string{{prefix, up}, {up + "\x00", clientv3.GetPrefixRangeEnd(prefix)}} {
		if _, err := l.client.Delete(ctx, part[0], clientv3.WithRange(part[1])); err != nil {
			return fmt.Errorf("remove the keys of the run: %w", err)
		}
	}
	return nil
}

// Release gives the lock up and closes the client.
func (l *RunLock) Release(ctx context.Context) (err error) {
	if l.session != nil {
		l.session.Orphan() // no more renewals
		_, err = l.client.Revoke(ctx, l.session.Lease())
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			err = nil // it has ended by itself
		}
		if err != nil {
			err = fmt.Errorf("release the lock of the run: %w", err) // it ends by itself
		}
	}
	if closed := l.client.Close(); !errors.Is(closed, context.Canceled) {
		err = errors.Join(err, closed)
	}
	return err
}
