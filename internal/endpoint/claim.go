package endpoint

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/internal/wire"
)

// claimTTL is how long a claim outlives a process that vanished, in seconds.
const claimTTL = 10

// Holder names who claims a run: one folder on one machine.
type Holder struct {
	Host   string `json:"host"`
	Folder string `json:"folder"`
	PID    int    `json:"pid"`
}

// ErrClaimed says that another `gramme up` runs the run.
var ErrClaimed = errors.New("another `gramme up` runs it")

// Claim is the right to run a run on shared services. It guards the start: one
// `gramme up` begins while another is there only where etcd was away for longer
// than a claim outlives its process. What ended so is claimed again, if it is free.
type Claim struct {
	client *clientv3.Client
	keys   wire.Keys
	value  string // a Holder
	stop   context.CancelFunc
	ended  chan struct{} // nothing renews it any more

	mu    sync.Mutex
	lease clientv3.LeaseID // 0: none
}

// Claim takes the run. A claim of the same folder of the same machine is one that
// a dead process left, as whoever calls this holds the folder; another is waited
// for until it ends, or is renewed: then its process lives.
func (e Endpoint) Claim(ctx context.Context, h Holder) (*Claim, error) {
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return nil, err
	}
	c := &Claim{client: client, keys: wire.KeysOf(e.Run), ended: make(chan struct{})}
	// It lives until Release, whatever bounds this call.
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	if err := c.take(ctx, h); err != nil {
		close(c.ended)
		return nil, errors.Join(fmt.Errorf("claim run %s: %w", e.Run, err), c.Release(ctx))
	}
	go c.keep(keeping)
	return c, nil
}

func (c *Claim) take(ctx context.Context, h Holder) error {
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	c.value = string(value)
	for lowest := int64(claimTTL); ; {
		r, err := c.client.Get(ctx, c.keys.Up())
		if err != nil {
			return err
		}
		revision := int64(0)
		free := len(r.Kvs) == 0
		if !free {
			var held Holder
			if err := json.Unmarshal(r.Kvs[0].Value, &held); err != nil {
				return fmt.Errorf("who holds it: %w", err)
			}
			free = held.Host == h.Host && held.Folder == h.Folder
			left, err := c.client.TimeToLive(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
			if err != nil {
				return err
			}
			if !free && left.TTL > lowest {
				return fmt.Errorf("%w: process %d on %s, in %s", ErrClaimed, held.PID, held.Host, held.Folder)
			}
			lowest, revision = left.TTL, r.Kvs[0].ModRevision
		}
		if free {
			if done, err := c.put(ctx, revision); done || err != nil {
				return err
			}
		}
		select {
		case <-time.After(4 * retry):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// put writes the claim under a new lease in place of the one of a revision, 0 for
// none. It returns whether that was still there.
func (c *Claim) put(ctx context.Context, revision int64) (bool, error) {
	grant, err := c.client.Grant(ctx, claimTTL)
	if err != nil {
		return false, err
	}
	key := c.keys.Up()
	t, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, c.value, clientv3.WithLease(grant.ID))).Commit()
	if err != nil || !t.Succeeded {
		_, revoked := c.client.Revoke(ctx, grant.ID)
		return false, errors.Join(err, revoked)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease = grant.ID
	return true, nil
}

// keep renews the claim until ctx ends. A client's own way to keep a lease alive
// gives it up when etcd is away for longer than that would live, although etcd,
// when it is back, holds it still.
func (c *Claim) keep(ctx context.Context) {
	defer close(c.ended)
	const pause = claimTTL * time.Second / 3
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		c.renew(ctx, pause)
	}
}

// renew keeps the lease alive, or claims again what it had ended. What fails is
// tried again.
func (c *Claim) renew(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := c.client.KeepAliveOnce(ctx, c.held())
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		_, _ = c.put(ctx, 0) // nor is anybody served by the news that another has it now
	}
}

func (c *Claim) held() clientv3.LeaseID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}

// PutSpec stores the spec of the run in place of the one before.
func (c *Claim) PutSpec(ctx context.Context, spec []byte) error {
	if _, err := c.client.Put(ctx, c.keys.Spec(), string(spec)); err != nil {
		return fmt.Errorf("write spec: %w", err)
	}
	return nil
}

// Spec returns the stored spec, or nil.
func (c *Claim) Spec(ctx context.Context) ([]byte, error) {
	r, err := c.client.Get(ctx, c.keys.Spec())
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	if len(r.Kvs) == 0 {
		return nil, nil
	}
	return r.Kvs[0].Value, nil
}

// Renew forgets what an earlier start was asked to do, and the registrations of
// which gone says that their processes have ended.
func (c *Claim) Renew(ctx context.Context, gone func(wire.Registration) bool) error {
	if _, err := c.client.Delete(ctx, c.keys.Intent()); err != nil {
		return fmt.Errorf("forget the intent of before: %w", err)
	}
	r, err := c.client.Get(ctx, c.keys.Workers(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read registrations: %w", err)
	}
	for _, kv := range r.Kvs {
		var w wire.Registration
		if wire.Decode(kv.Value, &w) == nil && !gone(w) {
			continue
		}
		unchanged := clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)
		if _, err := c.client.Txn(ctx).If(unchanged).Then(clientv3.OpDelete(string(kv.Key))).Commit(); err != nil {
			return fmt.Errorf("forget %s: %w", kv.Key, err)
		}
	}
	return nil
}

// Clean removes every key of the run but the claim.
func (c *Claim) Clean(ctx context.Context) error {
	prefix, up := c.keys.Prefix(), c.keys.Up()
	for _, part := range [][2]string{{prefix, up}, {up + "\x00", clientv3.GetPrefixRangeEnd(prefix)}} {
		if _, err := c.client.Delete(ctx, part[0], clientv3.WithRange(part[1])); err != nil {
			return fmt.Errorf("remove the keys of the run: %w", err)
		}
	}
	return nil
}

// Release gives the run up and ends the connection.
func (c *Claim) Release(ctx context.Context) (err error) {
	c.stop()
	<-c.ended
	if lease := c.held(); lease != 0 {
		_, err = c.client.Revoke(ctx, lease)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			err = nil // it has ended by itself
		}
		if err != nil {
			err = fmt.Errorf("give up the claim: %w", err)
		}
	}
	if closed := c.client.Close(); !errors.Is(closed, context.Canceled) {
		err = errors.Join(err, closed)
	}
	return err
}

// ErrNoRun says that etcd does not know the run.
var ErrNoRun = errors.New("there is no such run: is this the right cluster, and does the run go on?")

// Settled returns the endpoint with the run's secret. That of shared services
// lies in etcd, beside the spec: who comes first draws it.
func (e Endpoint) Settled(ctx context.Context) (Endpoint, error) {
	if !e.Shared || e.Secret != "" {
		return e, nil
	}
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return e, err
	}
	keys := wire.KeysOf(e.Run)
	draw := clientv3.Compare(clientv3.CreateRevision(keys.Secret()), "=", 0)
	begun := clientv3.Compare(clientv3.CreateRevision(keys.Spec()), ">", 0)
	r, err := client.Txn(ctx).If(draw, begun).
		Then(clientv3.OpPut(keys.Secret(), rand.Text()), clientv3.OpGet(keys.Secret())).Else(clientv3.OpGet(keys.Secret())).Commit()
	if err == nil {
		got := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
		if len(got) == 1 {
			e.Secret = string(got[0].Value)
		} else {
			err = ErrNoRun
		}
	}
	if closed := client.Close(); !errors.Is(closed, context.Canceled) {
		err = errors.Join(err, closed)
	}
	if err != nil {
		return e, fmt.Errorf("look for run %s in etcd: %w", e.Run, err)
	}
	return e, nil
}
