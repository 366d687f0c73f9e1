package ringtest

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// bufferSize is how much can be written to a cut connection before writes block: about
// the buffers of an operating system.
const bufferSize = 1 << 16

// Network dials connections that can be cut like a network: what is sent vanishes,
// nothing comes, and nobody is notified.
type Network struct {
	mu    sync.Mutex
	conns []*cutConn
	cuts  []func(address string) bool
}

// NewNetwork returns a network that is not cut.
func NewNetwork() *Network { return &Network{} }

// Cut cuts all present and later connections to the given addresses, or to all addresses
// if none is given.
func (n *Network) Cut(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	is := func(address string) bool { return len(addresses) == 0 || slices.Contains(addresses, address) }
	n.cuts = append(n.cuts, is)
	for _, w := range n.conns {
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
	w := &cutConn{Conn: c, address: address, cutDone: make(chan struct{}), closed: make(chan struct{}), room: bufferSize}
	w.cut, w.close = sync.OnceFunc(func() { close(w.cutDone) }), sync.OnceFunc(func() { close(w.closed) })
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isCut(address) { // meanwhile
		w.cut()
	}
	n.conns = append(n.conns, w)
	return w, nil
}

// cutConn is one connection over a network.
type cutConn struct {
	net.Conn
	address         string
	cut, close      func()
	cutDone, closed chan struct{}

	mu       sync.Mutex
	room     int // bytes that can still be written after the cut
	deadline time.Time
}

func (w *cutConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	select {
	case <-w.cutDone:
		<-w.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *cutConn) Write(b []byte) (int, error) {
	select {
	case <-w.cutDone:
	default:
		return w.Conn.Write(b)
	}
	w.mu.Lock()
	n := min(len(b), w.room)
	w.room -= n
	due := w.deadline
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

func (w *cutConn) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	w.deadline = t
	w.mu.Unlock()
	return w.Conn.SetWriteDeadline(t)
}

func (w *cutConn) SetDeadline(t time.Time) error {
	w.mu.Lock()
	w.deadline = t
	w.mu.Unlock()
	return w.Conn.SetDeadline(t)
}

func (w *cutConn) Close() error {
	w.close()
	return w.Conn.Close()
}
