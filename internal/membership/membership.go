// Package membership is what workers and coordinators share: registrations, the leader,
// the plan, the intent and the spec of one run.
//
// Store is a small interface with two adapters that pass one conformance suite:
// etcdstore for runs and memstore for simulations and tests.
//
// It guarantees that
//   - at most one live incarnation holds a worker's ID;
//   - plans are written one after the other, by the current leader only: a leader that was
//     replaced without noticing cannot write;
//   - a watch delivers the newest value in the end, whatever was lost, compacted or cut
//     meanwhile; values in between may be skipped.
//
// It decides nothing: the coordinator does.
package membership

import (
	"context"
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

var (
	// ErrTaken says that another live incarnation holds the ID.
	ErrTaken = errors.New("another live process holds this ID")
	// ErrNotLeader says that another coordinator leads, or none.
	ErrNotLeader = errors.New("no longer the elected coordinator")
	// ErrConflict says that the stored plan is not the predecessor of the new one.
	ErrConflict = errors.New("the stored generation is not the one before")
	// ErrLost says that the lease is gone, and another may have the ID.
	ErrLost = errors.New("the registration is gone")
	// ErrOtherSpec says that the run was begun with another spec.
	ErrOtherSpec = errors.New("the run was begun with another spec")
)

// Store is the shared state of one run.
type Store interface {
	// Register writes a registration under a lease, which the returned Lease
	// keeps alive until it is closed; ErrTaken if another live incarnation holds
	// the ID. ttl is how long the registration outlives its process, in whole
	// seconds, at least one. ctx bounds the call only.
	Register(ctx context.Context, r wire.Registration, ttl time.Duration) (Lease, error)

	// WatchWorkers delivers all registrations, sorted by ID: the present ones at
	// once, then after every change. A slow reader gets the newest list only.
	// The channel is closed when ctx ends.
	WatchWorkers(ctx context.Context) (<-chan []wire.Registration, error)
	// WatchPlan delivers the plan likewise, at once if there is one.
	WatchPlan(ctx context.Context) (<-chan wire.Plan, error)
	// WatchIntent delivers the intent likewise, at once if there is one.
	WatchIntent(ctx context.Context) (<-chan wire.Intent, error)

	// PutSpec stores the spec of the run once. Storing the same bytes again is no
	// error; other bytes are ErrOtherSpec.
	PutSpec(ctx context.Context, spec []byte) error
	// Spec returns the stored spec; ErrNoRun where there is none.
	Spec(ctx context.Context) ([]byte, error)

	// Campaign blocks until the coordinator named id is elected or ctx ends. ttl
	// is how long others wait for a leader that vanished.
	Campaign(ctx context.Context, id string, ttl time.Duration) (Leadership, error)
}

// Lease is a live registration. Its methods may be called from any goroutine.
// While the store is out of reach the Lease goes on trying, and writes a registration that
// expired meanwhile again, for the same incarnation.
type Lease interface {
	// Update replaces the registration; ID and Incarnation stay. ErrLost after
	// Lost was closed, and after Close.
	Update(ctx context.Context, r wire.Registration) error
	// Lost is closed when the registration is gone for good: another incarnation
	// holds the ID, or the leader evicted this one.
	Lost() <-chan struct{}
	// Close ends the registration at once. Closing again does nothing.
	Close(ctx context.Context) error
}

// Leadership is the right to decide. Its methods may be called from any
// goroutine.
type Leadership interface {
	// Plan returns the stored plan and whether there is one.
	Plan(ctx context.Context) (wire.Plan, bool, error)
	// PutPlan stores a plan in one transaction, if this is still the leader and
	// the stored generation is p.Generation-1 (or there is none and p is
	// generation 1); ErrNotLeader or ErrConflict otherwise.
	PutPlan(ctx context.Context, p wire.Plan) error
	// Intent returns the stored intent and whether there is one.
	Intent(ctx context.Context) (wire.Intent, bool, error)
	// PutIntent stores an intent if this is still the leader.
	PutIntent(ctx context.Context, i wire.Intent) error
	// Evict removes the registration of an incarnation that is known to be gone,
	// so that its ID is free before the lease ends. It is no error if that
	// incarnation holds none.
	Evict(ctx context.Context, id, incarnation string) error
	// Lost is closed when another may lead.
	Lost() <-chan struct{}
	// Resign gives up the leadership at once. Resigning again does nothing.
	Resign(ctx context.Context) error
}
