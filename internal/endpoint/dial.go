package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gramme-project/gramme/internal/bus/natsbus"
	"github.com/gramme-project/gramme/internal/waiting"
)

// retry is the pause between attempts to connect.
const retry = 50 * time.Millisecond

// dialNATS bounds one attempt to connect to a NATS server.
const dialNATS = 2 * time.Second

// pingNATS is the time between two pings of a NATS server, and pings the most that may be
// unanswered. A write may be held up as long.
const (
	pingNATS = 2 * time.Second
	pings    = 3
)

// tryWithin bounds one request to etcd.
const tryWithin = 3 * time.Second

// alert lets the system find out within seconds that a machine is gone. The pings of grpc
// come every ten seconds at most, and a watch has nothing to send.
var alert = &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}}

// DialNATS connects to NATS under a name that NATS shows. It tries all servers
// until ctx ends, except when NATS rejects the credentials. The connection reconnects for
// ever, to whichever server answers; messages published meanwhile wait in a buffer of
// 64 MiB. The caller closes it.
func (e Endpoint) DialNATS(ctx context.Context, name string, opts ...nats.Option) (*nats.Conn, error) {
	fail := func(err error) (*nats.Conn, error) {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redacted(strings.Split(e.NATS, ",")), err)
	}
	all := []nats.Option{
		nats.Name(name), nats.Timeout(dialNATS),
		nats.MaxReconnects(-1), nats.ReconnectWait(retry), nats.ReconnectJitter(retry, retry), nats.ReconnectBufSize(64 << 20),
		nats.PingInterval(pingNATS), nats.MaxPingsOutstanding(pings),
		nats.FlusherTimeout((pings + 1) * pingNATS), nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(), // a server that rejects it now may accept it in a moment
	}
	config, err := e.TLS.config()
	if err != nil {
		return fail(err)
	}
	switch {
	case strings.HasPrefix(e.NATS, "tls:"):
		all = append(all, nats.Secure(config))
	case e.TLS != Files{}: // for servers that ask for TLS at addresses that do not say so
		all = append(all, func(o *nats.Options) error { o.TLSConfig = config; return nil })
	}
	if e.Credentials != "" {
		all = append(all, nats.UserCredentials(e.Credentials))
	}
	if !e.Shared {
		all = append(all, nats.Token(e.Secret))
	}
	if Proxied() {
		all = append(all, nats.SetCustomDialer(bounded(dialNATS)))
	}
	all = append(all, opts...)
	last := errors.New("no server has answered")
	for {
		c, err := connectNATS(ctx, e.NATS, all)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, nats.ErrAuthorization):
			return fail(err)
		case !errors.Is(err, errAbandoned):
			last = err
		}
		if err := waiting.Rest(ctx, retry); err != nil {
			return fail(fmt.Errorf("%w; %w", last, err))
		}
	}
}

// DialBus is DialNATS for messages of package bus.
func (e Endpoint) DialBus(ctx context.Context, name string) (*natsbus.Conn, error) {
	c, err := e.DialNATS(ctx, name)
	if err != nil {
		return nil, err
	}
	return natsbus.New(c), nil
}

// Dialer returns DialNATS under a name.
func (e Endpoint) Dialer(name string) func(context.Context) (*nats.Conn, error) {
	return func(ctx context.Context) (*nats.Conn, error) { return e.DialNATS(ctx, name) }
}

// connectNATS makes one attempt, and abandons it when ctx ends: nats.Connect takes no
// context, and tries server after server.
func connectNATS(ctx context.Context, servers string, opts []nats.Option) (*nats.Conn, error) {
	type attempt struct {
		conn *nats.Conn
		err  error
	}
	made := make(chan attempt, 1)
	go func() { // ends within dialNATS for each server
		c, err := nats.Connect(servers, opts...)
		made <- attempt{c, err}
	}()
	select {
	case a := <-made:
		return a.conn, a.err
	case <-ctx.Done():
	}
	go func() {
		if a := <-made; a.err == nil {
			a.conn.Close()
		}
	}()
	return nil, errAbandoned
}

// errAbandoned says that an attempt goes on and nobody waits for it.
var errAbandoned = errors.New("abandoned")

// DialEtcd connects to etcd and waits until it answers or ctx ends. The client
// reconnects for ever, to whichever member answers. The caller closes it.
func (e Endpoint) DialEtcd(ctx context.Context) (*clientv3.Client, error) {
	fail := func(err error) (*clientv3.Client, error) {
		return nil, fmt.Errorf("connect to etcd at [%s]: %w", redacted(e.Etcd), err)
	}
	config := clientv3.Config{
		Logger:            zap.NewNop(),
		DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		BackoffWaitBetween: retry,
		// By default grpc waits for up to two minutes before it tries again.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * retry},
			MinConnectTimeout: 2 * time.Second,
		})},
	}
	for _, text := range e.Etcd {
		u, err := url.Parse(text)
		if err != nil { // the error would repeat the text
			return fail(errors.New("an address is no URL"))
		}
		if u.User != nil {
			config.Username = u.User.Username()
			config.Password, _ = u.User.Password() // none is an empty one
			u.User = nil
			text = u.String()
		}
		config.Endpoints = append(config.Endpoints, text)
		if u.Scheme == "https" && config.TLS == nil {
			if config.TLS, err = e.TLS.config(); err != nil {
				return fail(err)
			}
		}
	}
	if !strings.HasPrefix(e.Etcd[0], "unix:") {
		dial := alert.DialContext
		if Proxied() {
			dial = Dial
		}
		config.DialOptions = append(config.DialOptions, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", address)
		}))
	}
	c, err := clientv3.New(config)
	if err != nil {
		return fail(err)
	}
	for {
		within, cancel := context.WithTimeout(ctx, tryWithin)
		_, err := c.Get(within, "/gramme/"+e.Run, clientv3.WithCountOnly())
		cancel()
		if err == nil {
			return c, nil
		}
		// Members that start or elect a leader answer later.
		code := status.Code(err)
		transient := code == codes.Unavailable || code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // nobody wants to know any more
			return fail(errors.Join(context.Cause(ctx), c.Close()))
		case ctx.Err() != nil || !transient:
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if why := refusal(config); why != nil {
				err = fmt.Errorf("%w; %w", why, err)
			}
			return fail(errors.Join(err, c.Close()))
		}
		waiting.Pause(ctx, retry)
	}
}

// refusal is why members reject a connection: grpc tries again and again, and does not say.
func refusal(c clientv3.Config) error {
	for _, text := range c.Endpoints {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var conn net.Conn
		if c.TLS != nil {
			conn, err = (&tls.Dialer{Config: c.TLS}).DialContext(ctx, "tcp", u.Host)
		} else {
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		}
		if err != nil {
			return err
		}
		defer conn.Close()
		// A server that rejects the client's certificate says so now.
		if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}
