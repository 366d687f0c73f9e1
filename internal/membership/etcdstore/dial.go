package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/gramme-project/gramme/internal/endpoint"
)

// Dial connects to the store of a run. Close ends the connection.
func Dial(ctx context.Context, e endpoint.Endpoint) (*Store, error) {
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return nil, err
	}
	return New(client, e.Run), nil
}

// Close ends a connection that Dial made.
func (s *Store) Close() error {
	if err := s.client.Close(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// WithSecret returns an endpoint with the run's secret. With shared services the store
// holds the secret, beside the spec: the first process that asks for it draws it.
func WithSecret(ctx context.Context, e endpoint.Endpoint) (endpoint.Endpoint, error) {
	if !e.Shared || e.Secret != "" {
		return e, nil
	}
	store, err := Dial(ctx, e)
	if err != nil {
		return e, err
	}
	secret, err := store.Secret(ctx, rand.Text())
	if err := errors.Join(err, store.Close()); err != nil {
		return e, fmt.Errorf("look for run %s in etcd: %w", e.Run, err)
	}
	e.Secret = secret
	return e, nil
}
