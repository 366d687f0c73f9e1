package etcdstore

import (
	"context"
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

// leadership is a won election. This campaign, and no other, created its key in etcd, so
// the create revision of the key proves who the leader is.
type leadership struct {
	store    *Store
	session  *concurrency.Session
	election *concurrency.Election
	lost     chan struct{}
}

// Campaign implements membership.Store.
func (s *Store) Campaign(ctx context.Context, id string, ttl time.Duration) (membership.Leadership, error) {
	var l *leadership
	err := waiting.Retry(ctx, waiting.Every(pause), func(ctx context.Context) (elected bool, err error) {
		l, err = s.stand(ctx, id, max(ttl.Round(time.Second), time.Second))
		return err == nil, err // it fails if etcd was away for longer than the lease
	})
	if err != nil {
		return nil, fmt.Errorf("campaign of %s: %w", id, err)
	}
	return l, nil
}

// stand is one attempt to be elected. It ends with ctx or with its lease.
func (s *Store) stand(ctx context.Context, id string, ttl time.Duration) (*leadership, error) {
	grant, err := s.client.Grant(ctx, int64(ttl/time.Second))
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithLease(grant.ID))
	if err != nil || session == nil {
		return nil, errors.Join(errors.New("the lease ended"), err)
	}
	l := &leadership{store: s, session: session, election: concurrency.NewElection(session, s.keys.Election())}
	campaign, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(session.Ctx(), cancel)()
	if err := l.election.Campaign(campaign, id); err != nil {
		closing, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer stop()
		return nil, errors.Join(err, l.Resign(closing))
	}
	l.lost = make(chan struct{})
	go l.guard()
	return l, nil
}

// guard closes lost when the lease of the election ends, or when its key is removed, as a
// new start of the run does.
func (l *leadership) guard() {
	defer close(l.lost)
	ctx := l.session.Ctx()
	for ctx.Err() == nil {
		gone, err := watch(ctx, l.store, l.election.Key(), func(held map[string][]byte) (struct{}, bool) {
			return struct{}{}, len(held) == 0
		})
		if err == nil {
			select {
			case <-gone: // the key is gone, or ctx has ended and closed the watch
				return
			case <-ctx.Done():
			}
		}
		waiting.Pause(ctx, pause)
	}
}

// lead commits operations if this is still the leader and the conditions in more hold. It
// returns whether they held.
func (l *leadership) lead(ctx context.Context, more []clientv3.Cmp, then ...clientv3.Op) (bool, error) {
	leads := clientv3.Compare(clientv3.CreateRevision(l.election.Key()), "=", l.election.Rev())
	r, err := l.store.client.Txn(ctx).If(append(more, leads)...).Then(then...).
		Else(clientv3.OpGet(l.election.Key())).Commit()
	if err != nil {
		return false, err
	}
	if r.Succeeded {
		return true, nil
	}
	held := r.Responses[0].GetResponseRange().Kvs
	if len(held) == 0 || held[0].CreateRevision != l.election.Rev() {
		return false, membership.ErrNotLeader
	}
	return false, nil
}

// Plan implements membership.Leadership.
func (l *leadership) Plan(ctx context.Context) (wire.Plan, bool, error) {
	return get[wire.Plan](ctx, l.store.client, l.store.keys.Plan())
}

// PutPlan implements membership.Leadership.
func (l *leadership) PutPlan(ctx context.Context, p wire.Plan) error {
	if err := l.putPlan(ctx, p); err != nil {
		return fmt.Errorf("write plan %d: %w", p.Generation, err)
	}
	return nil
}

func (l *leadership) putPlan(ctx context.Context, p wire.Plan) error {
	value, err := wire.Encode(p)
	if err != nil {
		return err
	}
	key := l.store.keys.Plan()
	r, err := l.store.client.Get(ctx, key)
	if err != nil {
		return err
	}
	var stored wire.Plan // generation 0: there is none
	var revision int64
	if len(r.Kvs) > 0 {
		if err := wire.Decode(r.Kvs[0].Value, &stored); err != nil {
			return err
		}
		revision = r.Kvs[0].ModRevision
	}
	if stored.Generation+1 != p.Generation {
		// A caller that no longer leads must learn that, and not of a conflict.
		if _, err := l.lead(ctx, nil); err != nil {
			return err
		}
		return fmt.Errorf("%w: it is %d", membership.ErrConflict, stored.Generation)
	}
	unchanged := clientv3.Compare(clientv3.ModRevision(key), "=", revision)
	ok, err := l.lead(ctx, []clientv3.Cmp{unchanged}, clientv3.OpPut(key, string(value)))
	if err == nil && !ok {
		err = membership.ErrConflict
	}
	return err
}

// Intent implements membership.Leadership.
func (l *leadership) Intent(ctx context.Context) (wire.Intent, bool, error) {
	return get[wire.Intent](ctx, l.store.client, l.store.keys.Intent())
}

// PutIntent implements membership.Leadership.
func (l *leadership) PutIntent(ctx context.Context, i wire.Intent) error {
	value, err := wire.Encode(i)
	if err != nil {
		return err
	}
	if _, err := l.lead(ctx, nil, clientv3.OpPut(l.store.keys.Intent(), string(value))); err != nil {
		return fmt.Errorf("write intent: %w", err)
	}
	return nil
}

// Evict implements membership.Leadership.
func (l *leadership) Evict(ctx context.Context, id, incarnation string) error {
	if err := l.evict(ctx, id, incarnation); err != nil {
		return fmt.Errorf("evict %s: %w", id, err)
	}
	return nil
}

func (l *leadership) evict(ctx context.Context, id, incarnation string) error {
	key := l.store.keys.Worker(id)
	r, err := l.store.client.Get(ctx, key)
	if err != nil {
		return err
	}
	var held wire.Registration
	if len(r.Kvs) > 0 {
		if err := wire.Decode(r.Kvs[0].Value, &held); err != nil {
			return err
		}
	}
	if held.Incarnation != incarnation {
		_, err := l.lead(ctx, nil)
		return err
	}
	unchanged := clientv3.Compare(clientv3.CreateRevision(key), "=", r.Kvs[0].CreateRevision)
	_, err = l.lead(ctx, []clientv3.Cmp{unchanged}, clientv3.OpDelete(key))
	return err
}

// Lost implements membership.Leadership.
func (l *leadership) Lost() <-chan struct{} { return l.lost }

// Resign implements membership.Leadership.
func (l *leadership) Resign(ctx context.Context) error {
	l.session.Orphan() // ends its renewals
	_, err := l.store.client.Revoke(ctx, l.session.Lease())
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}
