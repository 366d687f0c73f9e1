package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// leadership is a won election; its fields are under the server's mu.
type leadership struct {
	store *Store
	ttl   time.Duration
	lost  chan struct{}
	over  bool
}

// Campaign implements membership.Store.
func (s *Store) Campaign(ctx context.Context, id string, ttl time.Duration) (membership.Leadership, error) {
	for {
		s.server.mu.Lock()
		if s.server.leader == nil && !s.crashed && ctx.Err() == nil {
			l := &leadership{store: s, ttl: ttl, lost: make(chan struct{})}
			s.server.leader = l
			s.server.mu.Unlock()
			return l, nil
		}
		freed := s.server.freed
		s.server.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("campaign of %s: %w", id, context.Cause(ctx))
		case <-freed:
		}
	}
}

// end needs the server's mu.
func (l *leadership) end() {
	if !l.over {
		l.over = true
		close(l.lost)
	}
}

// lead runs f if this is the leader.
func (l *leadership) lead(f func(s *Server) error) error {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader != l {
		return membership.ErrNotLeader
	}
	return f(s)
}

// Plan implements membership.Leadership.
func (l *leadership) Plan(context.Context) (wire.Plan, bool, error) {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := value(s.plan)
	return p, ok, nil
}

// PutPlan implements membership.Leadership.
func (l *leadership) PutPlan(_ context.Context, p wire.Plan) error {
	err := l.lead(func(s *Server) error {
		stored, _ := value(s.plan) // generation 0 stands for none
		if stored.Generation+1 != p.Generation {
			return fmt.Errorf("%w: it is %d", membership.ErrConflict, stored.Generation)
		}
		s.plan = &p
		for w := range s.planWatches {
			w.Put(p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write plan %d: %w", p.Generation, err)
	}
	return nil
}

// Intent implements membership.Leadership.
func (l *leadership) Intent(context.Context) (wire.Intent, bool, error) {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := value(s.intent)
	return i, ok, nil
}

// PutIntent implements membership.Leadership.
func (l *leadership) PutIntent(_ context.Context, i wire.Intent) error {
	err := l.lead(func(s *Server) error {
		s.intent = &i
		s.tellIntent(i)
		return nil
	})
	if err != nil {
		return fmt.Errorf("write intent: %w", err)
	}
	return nil
}

// Evict implements membership.Leadership.
func (l *leadership) Evict(_ context.Context, id, incarnation string) error {
	err := l.lead(func(s *Server) error {
		if held, ok := s.workers[id]; ok && held.reg.Incarnation == incarnation {
			held.end(true)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("evict %s: %w", id, err)
	}
	return nil
}

// Lost implements membership.Leadership.
func (l *leadership) Lost() <-chan struct{} { return l.lost }

// Resign implements membership.Leadership.
func (l *leadership) Resign(context.Context) error {
	l.store.server.mu.Lock()
	defer l.store.server.mu.Unlock()
	l.store.server.dismiss(l)
	return nil
}
