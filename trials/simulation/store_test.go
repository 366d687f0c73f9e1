package simulation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/storetest"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestStoreConforms tries the model of etcd by the suite that the real one passes.
// Its time is that of the test, which is virtual.
func TestStoreConforms(t *testing.T) {
	for name, test := range storetest.Cases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := drive(t, true)
				d.process("a", func() {}) // the oracle looks for the members of a plan
				n := 0
				test(t, func() (membership.Store, func()) {
					n++
					p := d.process("process "+strconv.Itoa(n), func() {})
					return &blockingStore{d, p}, func() { d.do(p.end) }
				})
			})
		})
	}
}

// blockingStore is the store of one process as membership.Store has it.
type blockingStore struct {
	*driver
	p *process
}

var _ membership.Store = (*blockingStore)(nil)

// begin lets a call begin, and waits until it has an answer.
func (s *blockingStore) begin(ctx context.Context, what func(done func(error))) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var answered bool
	var answer error
	s.do(func() { what(func(err error) { answered, answer = true, err }) })
	if err := s.await(ctx, func() bool { return answered }); err != nil {
		return err
	}
	return answer
}

// call is a call that has its answer at the store.
func (s *blockingStore) call(ctx context.Context, do func() error) error {
	return s.begin(ctx, func(done func(error)) { s.w.store.call(s.p, 0, do, done) })
}

// Register implements membership.Store.
func (s *blockingStore) Register(ctx context.Context, r wire.Registration, ttl time.Duration) (membership.Lease, error) {
	b := &blockingLease{store: s, lost: make(chan struct{})}
	err := s.begin(ctx, func(done func(error)) {
		s.w.store.register(s.p, r, ttl, func(l *lease, err error) {
			b.lease = l
			l.onLost = func() { close(b.lost) }
			done(err)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", r.ID, err)
	}
	return b, nil
}

// watched delivers what read finds, whenever the store tells of a change.
func watched[T any](ctx context.Context, s *blockingStore, what int, read func(*store) T) <-chan T {
	all := membership.NewLatest[T]()
	var w *watch
	s.do(func() { w = s.w.store.watch(s.p, what, func() { all.Put(read(s.w.store)) }) })
	context.AfterFunc(ctx, func() {
		s.do(func() { w.ended = true })
		all.Close()
	})
	return all.C()
}

// WatchWorkers implements membership.Store.
func (s *blockingStore) WatchWorkers(ctx context.Context) (<-chan []wire.Registration, error) {
	return watched(ctx, s, watchWorkers, (*store).snapshot), nil
}

// WatchPlan implements membership.Store.
func (s *blockingStore) WatchPlan(ctx context.Context) (<-chan wire.Plan, error) {
	return watched(ctx, s, watchPlan, func(s *store) wire.Plan { return s.plan }), nil
}

// WatchIntent implements membership.Store.
func (s *blockingStore) WatchIntent(ctx context.Context) (<-chan wire.Intent, error) {
	return watched(ctx, s, watchIntent, func(s *store) wire.Intent { return s.intent }), nil
}

// PutSpec implements membership.Store.
func (s *blockingStore) PutSpec(ctx context.Context, spec []byte) error {
	return s.call(ctx, func() error { return s.w.store.putSpec(spec) })
}

// Spec implements membership.Store.
func (s *blockingStore) Spec(ctx context.Context) (spec []byte, err error) {
	err = s.call(ctx, func() error {
		if spec = slices.Clone(s.w.store.spec); spec == nil {
			return membership.ErrNoRun
		}
		return nil
	})
	return spec, err
}

// Campaign implements membership.Store.
func (s *blockingStore) Campaign(ctx context.Context, id string, ttl time.Duration) (membership.Leadership, error) {
	b := &blockingTerm{store: s, lost: make(chan struct{})}
	err := s.begin(ctx, func(done func(error)) {
		b.candidacy = s.w.store.campaign(s.p, ttl, func(*candidacy) { done(nil) }, func(*candidacy) { b.over() })
	})
	if err == nil {
		return b, nil
	}
	if b.candidacy != nil {
		s.do(func() { b.candidacy.resign(func() {}) })
	}
	return nil, fmt.Errorf("campaign of %s: %w", id, err)
}

// blockingLease is a lease as membership.Lease has it.
type blockingLease struct {
	store *blockingStore
	lease *lease
	lost  chan struct{}
}

// Update implements membership.Lease.
func (l *blockingLease) Update(ctx context.Context, r wire.Registration) error {
	return l.store.begin(ctx, func(done func(error)) { l.lease.update(r, done) })
}

// Lost implements membership.Lease.
func (l *blockingLease) Lost() <-chan struct{} { return l.lost }

// Close implements membership.Lease.
func (l *blockingLease) Close(ctx context.Context) error {
	return l.store.begin(ctx, l.lease.close)
}

// blockingTerm is a candidacy as membership.Leadership has it.
type blockingTerm struct {
	store     *blockingStore
	candidacy *candidacy
	lost      chan struct{}
	once      sync.Once
}

func (t *blockingTerm) over() { t.once.Do(func() { close(t.lost) }) }

// Plan implements membership.Leadership.
func (t *blockingTerm) Plan(ctx context.Context) (p wire.Plan, ok bool, err error) {
	err = t.store.call(ctx, func() error {
		p, ok = t.store.w.store.plan, t.store.w.store.planned
		return nil
	})
	return p, ok, err
}

// PutPlan implements membership.Leadership.
func (t *blockingTerm) PutPlan(ctx context.Context, p wire.Plan) error {
	return t.store.call(ctx, func() error { return t.store.w.store.putPlan(t.candidacy, p) })
}

// Intent implements membership.Leadership.
func (t *blockingTerm) Intent(ctx context.Context) (i wire.Intent, ok bool, err error) {
	err = t.store.call(ctx, func() error {
		i, ok = t.store.w.store.intent, t.store.w.store.intends
		return nil
	})
	return i, ok, err
}

// PutIntent implements membership.Leadership.
func (t *blockingTerm) PutIntent(ctx context.Context, i wire.Intent) error {
	return t.store.call(ctx, func() error { return t.store.w.store.putIntent(t.candidacy, i) })
}

// Evict implements membership.Leadership.
func (t *blockingTerm) Evict(ctx context.Context, id, incarnation string) error {
	return t.store.call(ctx, func() error { return t.store.w.store.evict(t.candidacy, id, incarnation) })
}

// Lost implements membership.Leadership.
func (t *blockingTerm) Lost() <-chan struct{} { return t.lost }

// Resign implements membership.Leadership.
func (t *blockingTerm) Resign(ctx context.Context) error {
	t.over()
	return t.store.begin(ctx, func(done func(error)) { t.candidacy.resign(func() { done(nil) }) })
}
