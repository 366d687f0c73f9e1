package natslink

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
)

// Relay joins rings through the NATS of the run, over one connection, which it dials
// when it is first needed.
type Relay struct {
	Dial func(ctx context.Context) (*nats.Conn, error)

	mu   sync.Mutex
	conn *nats.Conn
}

// Connect joins the ring of one generation, as ConnectThroughBroker does.
func (r *Relay) Connect(ctx context.Context, s Session) (allreduce.Link, error) {
	conn, err := r.dialled(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect ring of generation %d: %w", s.Generation, err)
	}
	return ConnectThroughBroker(ctx, conn, s)
}

func (r *Relay) dialled(ctx context.Context) (*nats.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil || r.conn.IsClosed() {
		conn, err := r.Dial(ctx)
		if err != nil {
			return nil, err
		}
		r.conn = conn
	}
	return r.conn, nil
}

// Close ends the connection, after the links over it.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		r.conn.Close()
	}
}
