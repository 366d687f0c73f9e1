package ringtest

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// room is how much may be written to a connection that is cut before writes wait:
// what the buffers of an operating system take.
const room = 1 << 16

// Network is a way to others that can be cut as networks are: what is sent vanishes,
// nothing comes, and nobody is told.
type Network struct {
	mu   sync.Mutex
	ways []*way
	cuts []func(address string) bool
}

// NewNetwork returns one that is not cut.
func NewNetwork() *Network { return &Network{} }

// Cut cuts all connections to some addresses, or to all where none is given, and
// those that are tried later.
func (n *Network) Cut(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	is := func(address string) bool { return len(addresses) == 0 || slices.Contains(addresses, address) }
	n.cuts = append(n.cuts, is)
	for _, w := range n.ways {
		if is(w.address) {
			w.cut()
		}
	}
}

func (n *Network) isCut(address string) bool {
	return slices.ContainsFunc(n.cuts, func(is func(string) bool) bool { return is(address) })
}

// Dial connects as net.Dialer does.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	cut := n.isCut(address)
	n.mu.Unlock()
	if cut {
		<-ctx.Done() // nothing answers the first packet
		return nil, ctx.Err()
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &way{Conn: c, address: address, gone: make(chan struct{}), closed: make(chan struct{}), left: room}
	w.cut, w.close = sync.OnceFunc(func() { close(w.gone) }), sync.OnceFunc(func() { close(w.closed) })
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isCut(address) { // meanwhile
		w.cut()
	}
	n.ways = append(n.ways, w)
	return w, nil
}

// way is one connection over a network.
type way struct {
	net.Conn
	address      string
	cut, close   func()
	gone, closed chan struct{}

	mu   sync.Mutex
	left int // of room
	due  time.Time
}

func (w *way) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	select {
	case <-w.gone:
		<-w.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *way) Write(b []byte) (int, error) {
	select {
	case <-w.gone:
	default:
		return w.Conn.Write(b)
	}
	w.mu.Lock()
	n := min(len(b), w.left)
	w.left -= n
	due := w.due
	w.mu.Unlock()
	if n == len(b) {
		return n, nil
	}
	var late <-chan time.Time
	if !due.IsZero() {
		late = time.After(time.Until(due))
	}
	select {
	case <-late:
		return n, os.ErrDeadlineExceeded
	case <-w.closed:
		return n, net.ErrClosed
	}
}

func (w *way) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	w.due = t
	w.mu.Unlock()
	return w.Conn.SetWriteDeadline(t)
}

func (w *way) SetDeadline(t time.Time) error {
	w.mu.Lock()
	w.due = t
	w.mu.Unlock()
	return w.Conn.SetDeadline(t)
}

func (w *way) Close() error {
	w.close()
	return w.Conn.Close()
}
