package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSOptions configure an embedded NATS server.
type NATSOptions struct {
	Secret     string // token that clients must give; required
	Host       string // default 127.0.0.1
	MaxPayload int32  // bytes of one message; default 8 MiB
}

// NATS is a running server.
type NATS struct{ server *server.Server }

// StartNATS starts a server on a free port and returns when it accepts clients.
func StartNATS(o NATSOptions) (*NATS, error) {
	if o.Secret == "" {
		return nil, errors.New("start NATS: a secret is needed")
	}
	payload := cmp.Or(o.MaxPayload, 8<<20)
	s, err := server.NewServer(&server.Options{
		ServerName: "gramme", Host: cmp.Or(o.Host, "127.0.0.1"), Port: server.RANDOM_PORT, Authorization: o.Secret,
		MaxPayload: payload, MaxPending: max(256<<20, 8*int64(payload)), MaxControlLine: 4096,
		WriteDeadline: 10 * time.Second, PingInterval: 5 * time.Second, MaxPingsOut: 3,
		NoSigs: true, NoLog: true, NoSystemAccount: true, DisableShortFirstPing: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	s.Start() // returns; its goroutines end with Shutdown
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("start NATS on %s: not ready after 10 s", cmp.Or(o.Host, "127.0.0.1"))
	}
	return &NATS{s}, nil
}

// URL is where clients reach it.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Close cuts all clients and returns when the server has ended.
func (n *NATS) Close() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}
