package step

import (
	"errors"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// How a worker registers and leaves. While the store does not answer, it tries again: a
// missing store never ends a worker that could train.

// AfterFailure is the next action after a failed attempt to register.
type AfterFailure int

// The actions.
const (
	TryAgain           AfterFailure = iota // after a pause
	ListenForHeartbeat                     // of another worker with this ID; without one, try again
	GiveUp                                 // the ID is that of another worker
)

// Registering tracks the attempts to register one incarnation. The ID of a worker that ended
// is taken until its lease ends; a live worker sends heartbeats.
type Registering struct {
	ttl        time.Duration // of a lease
	timeout    time.Duration // after which a silent worker counts as failed
	firstTaken time.Time     // when the ID was first found taken: the store may have been away before
}

// NewRegistering begins to register.
func NewRegistering(ttl, failureTimeout time.Duration) *Registering {
	return &Registering{ttl: ttl, timeout: failureTimeout}
}

// Failed takes the error of an attempt.
func (r *Registering) Failed(now time.Time, err error) AfterFailure {
	if !errors.Is(err, membership.ErrTaken) {
		return TryAgain
	}
	if r.firstTaken.IsZero() {
		r.firstTaken = now
	}
	if now.Sub(r.firstTaken) > r.ttl+r.timeout {
		return GiveUp
	}
	return ListenForHeartbeat
}

// Settled reports whether an update of a registration needs no other attempt: the store has
// it, or a plan without this worker is about to come.
func Settled(err error) bool {
	return err == nil || errors.Is(err, membership.ErrLost) || errors.Is(err, membership.ErrTaken)
}

// Departure is how a worker leaves when it is asked to.
type Departure int

// The ways.
const (
	Stay          Departure = iota // nobody asks it to
	LeaveNow                       // it is in no plan that could leave it out
	AnnounceDrain                  // the next plan leaves it out
)

// Departure returns how the worker obeys an intent. In a run that stops, the members stop
// together.
func (m *Machine) Departure(i wire.Intent) Departure {
	switch {
	case !slices.Contains(i.Drain, m.cfg.Incarnation):
		return Stay
	case m.rank < 0:
		return LeaveNow
	case i.Stop:
		return Stay
	}
	return AnnounceDrain
}

// Drained returns how the worker leaves when a signal asks it to.
func (m *Machine) Drained() Departure {
	return m.Departure(wire.Intent{Drain: []string{m.cfg.Incarnation}})
}
