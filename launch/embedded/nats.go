package embedded

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// mostPayload are the bytes of one message at most.
const mostPayload = 8 << 20

// NATS is a running server.
type NATS struct{ server *server.Server }

// StartNATS starts a server on a free port of the loopback interface and returns when it
// accepts clients, which must give the secret.
func StartNATS(secret string) (*NATS, error) {
	if secret == "" {
		return nil, errors.New("start NATS: a secret is needed")
	}
	return serveNATS("NATS", &server.Options{
		ServerName: "gramme", Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: secret,
		MaxPayload: mostPayload, MaxPending: 256 << 20, MaxControlLine: 4096,
		WriteDeadline: 10 * time.Second, PingInterval: 5 * time.Second, MaxPingsOut: 3,
		NoSigs: true, NoLog: true, NoSystemAccount: true, DisableShortFirstPing: true,
	})
}

// serveNATS starts a server and returns when it accepts clients.
func serveNATS(name string, o *server.Options) (*NATS, error) {
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.Start() // returns; its goroutines end with Shutdown
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("start %s on %s: not ready after 10 s", name, o.Host)
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
