package endpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// retry is the pause between attempts to connect.
const retry = 50 * time.Millisecond

// DialNATS connects to NATS under a name that NATS shows. It tries until ctx
// ends, except when NATS refuses the secret. The connection reconnects for ever;
// what is published meanwhile waits in a buffer of 64 MiB. The caller closes it.
func (e Endpoint) DialNATS(ctx context.Context, name string, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.Name(name), nats.Token(e.Secret), nats.Timeout(2 * time.Second),
		nats.MaxReconnects(-1), nats.ReconnectWait(retry), nats.ReconnectJitter(retry, retry), nats.ReconnectBufSize(64 << 20),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(3),
	}, opts...)
	for {
		c, err := nats.Connect(e.NATS, all...)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connect to NATS at %s: %w", e.NATS, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS at %s: %w", e.NATS, errors.Join(err, context.Cause(ctx)))
		case <-time.After(retry):
		}
	}
}

// DialEtcd connects to etcd and waits until it answers or ctx ends. The client
// reconnects for ever. The caller closes it.
func (e Endpoint) DialEtcd(ctx context.Context) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: e.Etcd, Logger: zap.NewNop(),
		DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		BackoffWaitBetween: retry,
		// By default grpc waits for up to two minutes before it looks again.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * retry},
			MinConnectTimeout: 2 * time.Second,
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd at %v: %w", e.Etcd, err)
	}
	if _, err := c.Get(ctx, "/gramme", clientv3.WithCountOnly()); err != nil {
		return nil, fmt.Errorf("connect to etcd at %v: %w", e.Etcd, errors.Join(err, c.Close()))
	}
	return c, nil
}
