package natsbus_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/bustest"
	"github.com/gramme-project/gramme/internal/bus/natsbus"
	"github.com/gramme-project/gramme/launch/embedded"
)

// dialer is a way to the server that can be cut.
type dialer struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	c, err := net.Dial(network, address)
	if err == nil {
		d.conns = append(d.conns, c)
	}
	return c, err
}

func (d *dialer) interrupt() (restore func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	for _, c := range d.conns {
		c.Close()
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.cut = false
	}
}

func connect(t *testing.T, server *embedded.NATS, opts ...nats.Option) (*natsbus.Conn, *dialer) {
	t.Helper()
	d := &dialer{}
	opts = append([]nats.Option{
		nats.Token("s"), nats.SetCustomDialer(d), nats.MaxReconnects(-1), nats.ReconnectWait(5 * time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // a slow subscriber is one on purpose
	}, opts...)
	conn, err := nats.Connect(server.URL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	c := natsbus.New(conn)
	t.Cleanup(c.Close)
	return c, d
}

func start(t *testing.T) *embedded.NATS {
	t.Helper()
	server, err := embedded.StartNATS("s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func TestConformance(t *testing.T) {
	for name, run := range bustest.Cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			run(t, func() (bustest.Client, func() func()) {
				c, d := connect(t, server)
				return c, d.interrupt
			})
		})
	}
}

// TestFullBuffer publishes to an interrupted connection what has no room to wait.
func TestFullBuffer(t *testing.T) {
	c, d := connect(t, start(t), nats.ReconnectBufSize(1000))
	d.interrupt()
	for end := time.Now().Add(5 * time.Minute); c.Connected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not notice")
		}
	}
	m := bus.Message{Subject: "s", Data: make([]byte, 1001)}
	if err := c.Publish(m); err != nil { // the one that fills it
		t.Error(err)
	}
	if err := c.Publish(m); !errors.Is(err, bus.ErrBufferFull) {
		t.Errorf("it takes what has no room: %v", err)
	}
}
