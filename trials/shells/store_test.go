package shells

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/wire"
)

var (
	errDead     = errors.New("this process has ended")
	errNoAnswer = errors.New("the store does not answer")
)

// store is the connection of one life to the store, as an adapter of etcd has it: calls
// wait while the store is out of reach, and one that fails may have taken effect. Nothing
// comes from a process that has ended.
type store struct {
	*memstore.Store
	dead <-chan struct{}

	mu   sync.Mutex
	back chan struct{} // closed while the store can be reached
	lose int           // so many of the next calls take effect, and their answers are lost

	incarnation string                // that it registered last
	office      membership.Leadership // that it won last; nil: none
}

func newStore(s *memstore.Store, dead <-chan struct{}) *store {
	back := make(chan struct{})
	close(back)
	return &store{Store: s, dead: dead, back: back}
}

// away takes the store out of reach until the returned function is called.
func (s *store) away() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	back := make(chan struct{})
	s.back = back
	return sync.OnceFunc(func() { close(back) })
}

// loseAnswers lets the answers of the next n calls be lost.
func (s *store) loseAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// reach waits until the store is in reach.
func (s *store) reach(ctx context.Context) error {
	s.mu.Lock()
	back := s.back
	s.mu.Unlock()
	select {
	case <-s.dead:
		return errDead
	default:
	}
	select {
	case <-back:
		return nil
	case <-s.dead:
		return errDead
	case <-ctx.Done():
		return errors.Join(errNoAnswer, context.Cause(ctx))
	}
}

// answer is how a call ends that took effect.
func (s *store) answer(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lose > 0 && err == nil {
		s.lose--
		return errNoAnswer
	}
	return err
}

// call makes a call of the store.
func (s *store) call(ctx context.Context, f func() error) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	return s.answer(f())
}

func (s *store) Register(ctx context.Context, r wire.Registration, ttl time.Duration) (out membership.Lease, err error) {
	err = s.call(ctx, func() error {
		l, err := s.Store.Register(ctx, r, ttl)
		if err == nil {
			s.note(func() { s.incarnation = r.Incarnation })
		}
		out = lease{l, s}
		return err
	})
	return out, err
}

func (s *store) WatchWorkers(ctx context.Context) (<-chan []wire.Registration, error) {
	in, err := s.Store.WatchWorkers(ctx)
	return watched(ctx, s, in), err
}

func (s *store) WatchPlan(ctx context.Context) (<-chan wire.Plan, error) {
	in, err := s.Store.WatchPlan(ctx)
	return watched(ctx, s, in), err
}

func (s *store) WatchIntent(ctx context.Context) (<-chan wire.Intent, error) {
	in, err := s.Store.WatchIntent(ctx)
	return watched(ctx, s, in), err
}

// watched passes values on, the newest only, while the store can be reached.
func watched[T any](ctx context.Context, s *store, in <-chan T) <-chan T {
	out := membership.NewLatest[T]()
	go func() { // ends with in, which ends with ctx
		defer out.Close()
		for v := range in {
			for s.reach(ctx) == nil {
				select {
				case newer, ok := <-in:
					if ok {
						v = newer
						continue
					}
				default:
				}
				out.Put(v)
				break
			}
		}
	}()
	return out.C()
}

func (s *store) PutSpec(ctx context.Context, spec []byte) error {
	return s.call(ctx, func() error { return s.Store.PutSpec(ctx, spec) })
}

func (s *store) Spec(ctx context.Context) (spec []byte, err error) {
	err = s.call(ctx, func() (err error) { spec, err = s.Store.Spec(ctx); return err })
	return spec, err
}

func (s *store) Campaign(ctx context.Context, id string, ttl time.Duration) (out membership.Leadership, err error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	l, err := s.Store.Campaign(ctx, id, ttl)
	if err == nil {
		s.note(func() { s.office = l })
	}
	return leadership{l, s}, err
}

func (s *store) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// expire takes what a lease holds away from others, by the right of who leads: a
// registration, or the office.
func (s *store) expire(id, incarnation string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.office == nil:
		return nil
	case id == "":
		return s.office.Resign(context.Background())
	}
	return s.office.Evict(context.Background(), id, incarnation)
}

// lease is that of one life.
type lease struct {
	membership.Lease
	s *store
}

func (l lease) Update(ctx context.Context, r wire.Registration) error {
	return l.s.call(ctx, func() error { return l.Lease.Update(ctx, r) })
}

func (l lease) Close(ctx context.Context) error {
	return l.s.call(ctx, func() error { return l.Lease.Close(ctx) })
}

// leadership is that of one life.
type leadership struct {
	membership.Leadership
	s *store
}

func (l leadership) Plan(ctx context.Context) (p wire.Plan, found bool, err error) {
	err = l.s.call(ctx, func() (err error) { p, found, err = l.Leadership.Plan(ctx); return err })
	return p, found, err
}

func (l leadership) PutPlan(ctx context.Context, p wire.Plan) error {
	return l.s.call(ctx, func() error { return l.Leadership.PutPlan(ctx, p) })
}

func (l leadership) Intent(ctx context.Context) (i wire.Intent, found bool, err error) {
	err = l.s.call(ctx, func() (err error) { i, found, err = l.Leadership.Intent(ctx); return err })
	return i, found, err
}

func (l leadership) PutIntent(ctx context.Context, i wire.Intent) error {
	return l.s.call(ctx, func() error { return l.Leadership.PutIntent(ctx, i) })
}

func (l leadership) Evict(ctx context.Context, id, incarnation string) error {
	return l.s.call(ctx, func() error { return l.Leadership.Evict(ctx, id, incarnation) })
}

func (l leadership) Resign(ctx context.Context) error {
	return l.s.call(ctx, func() error { return l.Leadership.Resign(ctx) })
}
