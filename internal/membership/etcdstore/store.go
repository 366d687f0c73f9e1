// Package etcdstore is the store of a run in etcd.
//
// It does O(1) work for each change of membership and nothing per step. While etcd is out
// of reach, single calls fail, and renewals of leases are repeated. Watches resume where
// they stopped, or from a new snapshot if etcd has compacted that revision.
package etcdstore

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// Store implements membership.SharedStore.
type Store struct {
	client *clientv3.Client
	keys   wire.Keys
	log    *zap.Logger
}

// New returns the store of one run. The caller owns the client, and closes it after the
// leases and watches of this store have ended.
func New(client *clientv3.Client, run string) *Store {
	return &Store{client: client, keys: wire.KeysOf(run), log: zap.NewNop()}
}

// WithLog returns the store with a log for failures that no call returns: values that
// cannot be read, and renewals that failed.
func (s *Store) WithLog(log *zap.Logger) *Store {
	return &Store{client: s.client, keys: s.keys, log: log}
}

// PutSpec implements membership.Store.
func (s *Store) PutSpec(ctx context.Context, spec []byte) error {
	key := s.keys.Spec()
	r, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(spec))).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return fmt.Errorf("write spec: %w", err)
	}
	if !r.Succeeded && string(r.Responses[0].GetResponseRange().Kvs[0].Value) != string(spec) {
		return fmt.Errorf("write spec: %w", membership.ErrOtherSpec)
	}
	return nil
}

// Spec implements membership.Store.
func (s *Store) Spec(ctx context.Context) ([]byte, error) {
	r, err := s.client.Get(ctx, s.keys.Spec())
	if err == nil && len(r.Kvs) == 0 {
		err = membership.ErrNoRun
	}
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	return r.Kvs[0].Value, nil
}

// get reads a key as JSON.
func get[T any](ctx context.Context, c *clientv3.Client, key string) (v T, ok bool, err error) {
	r, err := c.Get(ctx, key)
	if err != nil {
		return v, false, fmt.Errorf("read %s: %w", key, err)
	}
	if len(r.Kvs) == 0 {
		return v, false, nil
	}
	if err := wire.Decode(r.Kvs[0].Value, &v); err != nil {
		return v, false, fmt.Errorf("read %s: %w", key, err)
	}
	return v, true, nil
}
