package ringtest

import (
	"context"
	"net"
	"sync"
)

// Network is a way to others that can be cut as networks are: what is sent vanishes,
// nothing comes, and nobody is told.
type Network struct {
	once sync.Once
	cut  chan struct{} // closed where it is cut
}

// NewNetwork returns one that is not cut.
func NewNetwork() *Network { return &Network{cut: make(chan struct{})} }

// Cut cuts all connections over it, and those that are tried later.
func (n *Network) Cut() { n.once.Do(func() { close(n.cut) }) }

// Dial connects as net.Dialer does.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case <-n.cut:
		<-ctx.Done() // nothing answers the first packet
		return nil, ctx.Err()
	default:
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &way{Conn: c, cut: n.cut, closed: make(chan struct{})}, nil
}

// way is one connection over a network.
type way struct {
	net.Conn
	cut    chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (w *way) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	select {
	case <-w.cut:
		<-w.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *way) Write(b []byte) (int, error) {
	select {
	case <-w.cut:
		return len(b), nil
	default:
		return w.Conn.Write(b)
	}
}

func (w *way) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
