package memstore

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// Server is the state that stores share.
type Server struct {
	mu       sync.Mutex
	workers  map[string]*lease // by worker ID
	plan     *wire.Plan
	intent   *wire.Intent
	spec     []byte
	secret   string
	lock     *runLock
	leader   *leadership
	freed    chan struct{} // closed and replaced when there is no leader any more
	unlocked chan struct{} // likewise when no process holds the run

	workerWatches map[*membership.Latest[[]wire.Registration]]bool
	planWatches   map[*membership.Latest[wire.Plan]]bool
	intentWatches map[*membership.Latest[wire.Intent]]bool
}

// New returns an empty server.
func New() *Server {
	return &Server{
		workers: map[string]*lease{}, freed: make(chan struct{}), unlocked: make(chan struct{}),
		workerWatches: map[*membership.Latest[[]wire.Registration]]bool{},
		planWatches:   map[*membership.Latest[wire.Plan]]bool{},
		intentWatches: map[*membership.Latest[wire.Intent]]bool{},
	}
}

// Connect returns the store of one process.
func (s *Server) Connect() *Store { return &Store{server: s} }

// snapshot needs mu.
func (s *Server) snapshot() []wire.Registration {
	all := make([]wire.Registration, 0, len(s.workers))
	for _, l := range s.workers {
		all = append(all, l.reg)
	}
	slices.SortFunc(all, func(a, b wire.Registration) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// tellWorkers needs mu.
func (s *Server) tellWorkers() {
	for w := range s.workerWatches {
		w.Put(s.snapshot())
	}
}

// tellIntent needs mu.
func (s *Server) tellIntent(i wire.Intent) {
	for w := range s.intentWatches {
		w.Put(i)
	}
}

// dismiss ends a leadership; it needs mu.
func (s *Server) dismiss(l *leadership) {
	if s.leader == l {
		s.leader = nil
		close(s.freed)
		s.freed = make(chan struct{})
	}
	l.end()
}

// Store is one process's connection. It implements membership.SharedStore.
type Store struct {
	server  *Server
	crashed bool // under the server's mu
}

// Crash cuts the connection as if the process had been killed: leases and
// leadership are no longer kept alive.
func (s *Store) Crash() {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.crashed = true
	for _, l := range s.server.workers {
		if l.store == s {
			l.expireAfter(l.ttl)
		}
	}
	if l := s.server.lock; l != nil && l.store == s {
		time.AfterFunc(l.ttl, func() {
			s.server.mu.Lock()
			defer s.server.mu.Unlock()
			s.server.unlock(l)
		})
	}
	if l := s.server.leader; l != nil && l.store == s {
		time.AfterFunc(l.ttl, func() {
			s.server.mu.Lock()
			defer s.server.mu.Unlock()
			s.server.dismiss(l)
		})
	}
}

// watch registers a watch that begins with first, if there is one, and ends with
// ctx.
func watch[T any](ctx context.Context, s *Server, all map[*membership.Latest[T]]bool, first func() (T, bool)) <-chan T {
	l := membership.NewLatest[T]()
	s.mu.Lock()
	defer s.mu.Unlock()
	all[l] = true
	if v, ok := first(); ok {
		l.Put(v)
	}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		delete(all, l)
		s.mu.Unlock()
		l.Close()
	})
	return l.C()
}

// WatchWorkers implements membership.Store.
func (s *Store) WatchWorkers(ctx context.Context) (<-chan []wire.Registration, error) {
	return watch(ctx, s.server, s.server.workerWatches, func() ([]wire.Registration, bool) {
		return s.server.snapshot(), true
	}), nil
}

// WatchPlan implements membership.Store.
func (s *Store) WatchPlan(ctx context.Context) (<-chan wire.Plan, error) {
	return watch(ctx, s.server, s.server.planWatches, func() (wire.Plan, bool) { return value(s.server.plan) }), nil
}

// WatchIntent implements membership.Store.
func (s *Store) WatchIntent(ctx context.Context) (<-chan wire.Intent, error) {
	return watch(ctx, s.server, s.server.intentWatches, func() (wire.Intent, bool) { return value(s.server.intent) }), nil
}

func value[T any](p *T) (T, bool) {
	if p == nil {
		var zero T
		return zero, false
	}
	return *p, true
}

// PutSpec implements membership.Store.
func (s *Store) PutSpec(_ context.Context, spec []byte) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.spec == nil {
		s.server.spec = slices.Clone(spec)
	}
	if !bytes.Equal(s.server.spec, spec) {
		return membership.ErrOtherSpec
	}
	return nil
}

// Spec implements membership.Store.
func (s *Store) Spec(context.Context) ([]byte, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.spec == nil {
		return nil, membership.ErrNoRun
	}
	return slices.Clone(s.server.spec), nil
}
