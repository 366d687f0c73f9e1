package endpoint

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/gramme-project/gramme/internal/wire"
)

// claimTTL is how long a claim outlives a process that vanished, in seconds.
const claimTTL = 10

// Holder names who claims a run: one folder on one machine.
type Holder struct {
	Host    string `json:"host"`
	Machine string `json:"machine,omitempty"` // id of the machine, where it has one
	Boot    string `json:"boot,omitempty"`    // of its kernel
	Folder  string `json:"folder"`
	PID     int    `json:"pid"`
}

// same reports whether both are one folder of one machine. Names of machines
// repeat: without an id of its own, a machine is itself until it starts anew.
func (h Holder) same(o Holder) bool {
	return h.Host == o.Host && h.Folder == o.Folder && h.Machine == o.Machine && (h.Machine != "" || h.Boot != "" && h.Boot == o.Boot)
}

// ErrClaimed says that another `gramme up` runs the run.
var ErrClaimed = errors.New("another `gramme up` runs it")

// Claim is the right to run a run on shared services. It guards the start: one
// `gramme up` begins while another is there only where etcd was away for longer
// than a claim outlives its process, and then Keep tells one of them.
type Claim struct {
	client  *clientv3.Client
	holder  Holder
	session *concurrency.Session
	keys    wire.Keys
}

// Claim takes the run. A claim of the same folder of the same machine is one that
// a dead process left, as whoever calls this holds the folder; another is waited
// for until it ends, or is renewed: then its process lives.
func (e Endpoint) Claim(ctx context.Context, h Holder) (*Claim, error) {
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return nil, err
	}
	c := &Claim{client: client, holder: h, keys: wire.KeysOf(e.Run)}
	if err := c.take(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("claim run %s: %w", e.Run, err), c.Release(ctx))
	}
	return c, nil
}

// Keep takes the run again whenever the claim has ended, as it does when etcd is
// away for long. It returns nil when ctx ends, or an error when another holds it.
func (c *Claim) Keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.session.Done():
		}
		err := c.take(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrClaimed):
			return fmt.Errorf("etcd was away for so long that the claim ended, and %w", err)
		case err != nil: // etcd is still away
			c.session.Orphan() // a lease may have come of it
			select {
			case <-ctx.Done():
			case <-time.After(4 * retry):
			}
		}
	}
}

func (c *Claim) take(ctx context.Context) error {
	h := c.holder
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	lease, err := c.client.Grant(ctx, claimTTL)
	if err != nil {
		return err
	}
	// It lives until Release, whatever bounds this call.
	session, err := concurrency.NewSession(c.client, concurrency.WithLease(lease.ID))
	if err != nil {
		return err
	}
	c.session = session
	key := c.keys.Up()
	put := clientv3.OpPut(key, string(value), clientv3.WithLease(c.session.Lease()))
	for lowest := int64(claimTTL); ; {
		r, err := c.client.Get(ctx, key)
		if err != nil {
			return err
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(key), "=", 0)
		free := len(r.Kvs) == 0
		if !free {
			var held Holder
			if err := json.Unmarshal(r.Kvs[0].Value, &held); err != nil {
				return fmt.Errorf("who holds it: %w", err)
			}
			free = held.same(h)
			left, err := c.client.TimeToLive(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
			if err != nil {
				return err
			}
			if !free && left.TTL > lowest {
				return fmt.Errorf("%w: process %d on %s, in %s", ErrClaimed, held.PID, held.Host, held.Folder)
			}
			lowest = left.TTL
			unchanged = clientv3.Compare(clientv3.ModRevision(key), "=", r.Kvs[0].ModRevision)
		}
		if free {
			t, err := c.client.Txn(ctx).If(unchanged).Then(put).Commit()
			if err != nil {
				return err
			}
			if t.Succeeded {
				return nil
			}
		}
		select {
		case <-time.After(4 * retry):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
// which gone says that their processes have ended. The coordinator that leads, on
// whatever machine, loses its office: the next one reads what is asked for now.
func (c *Claim) Renew(ctx context.Context, gone func(wire.Registration) bool) error {
	leaders, err := c.client.Get(ctx, c.keys.Election(), clientv3.WithFirstCreate()...)
	if err != nil {
		return fmt.Errorf("remove what an earlier start was asked to do: %w", err)
	}
	forget := []clientv3.Op{clientv3.OpDelete(c.keys.Intent())}
	for _, leader := range leaders.Kvs {
		forget = append(forget, clientv3.OpDelete(string(leader.Key)))
	}
	if _, err := c.client.Txn(ctx).Then(forget...).Commit(); err != nil {
		return fmt.Errorf("remove what an earlier start was asked to do: %w", err)
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
	if c.session != nil {
		c.session.Orphan() // no more renewals
		_, err = c.client.Revoke(ctx, c.session.Lease())
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			err = nil // it has ended by itself
		}
		if err != nil {
			err = fmt.Errorf("give up the claim: %w", err) // it ends by itself
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
