package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// lease is a registration; its fields are under the server's mu.
type lease struct {
	store *Store
	reg   wire.Registration
	ttl   time.Duration
	lost  chan struct{}
	over  bool // closed by its owner or lost
}

// Register implements membership.Store.
func (s *Store) Register(ctx context.Context, r wire.Registration, ttl time.Duration) (membership.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("register %s: %w", r.ID, err)
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if held, ok := s.server.workers[r.ID]; ok && held.reg.Incarnation != r.Incarnation {
		return nil, fmt.Errorf("register %s: %w (incarnation %s)", r.ID, membership.ErrTaken, held.reg.Incarnation)
	}
	l := &lease{store: s, reg: r, ttl: ttl, lost: make(chan struct{})}
	s.server.workers[r.ID] = l
	if s.crashed {
		l.expireAfter(ttl)
	}
	s.server.tellWorkers()
	return l, nil
}

func (l *lease) expireAfter(d time.Duration) {
	time.AfterFunc(d, func() {
		l.store.server.mu.Lock()
		defer l.store.server.mu.Unlock()
		l.end(true)
	})
}

// end needs the server's mu.
func (l *lease) end(lost bool) {
	if l.over {
		return
	}
	l.over = true
	if lost {
		close(l.lost)
	}
	if s := l.store.server; s.workers[l.reg.ID] == l {
		delete(s.workers, l.reg.ID)
		s.tellWorkers()
	}
}

// Update implements membership.Lease.
func (l *lease) Update(_ context.Context, r wire.Registration) error {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ID != l.reg.ID || r.Incarnation != l.reg.Incarnation {
		return fmt.Errorf("update %s: the registration is that of %s, incarnation %s", r.ID, l.reg.ID, l.reg.Incarnation)
	}
	if l.over {
		return fmt.Errorf("update %s: %w", r.ID, membership.ErrLost)
	}
	l.reg = r
	s.tellWorkers()
	return nil
}

// Lost implements membership.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Close implements membership.Lease.
func (l *lease) Close(context.Context) error {
	l.store.server.mu.Lock()
	defer l.store.server.mu.Unlock()
	l.end(false)
	return nil
}
