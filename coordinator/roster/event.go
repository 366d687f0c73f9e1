package roster

import "github.com/gramme-project/gramme/internal/wire"

// Event is an input of the roster.
type Event interface{ event() }

type (
	// Elected begins a term with what is stored. Nonce is random; sessions are named
	// after it.
	Elected struct {
		Plan   wire.Plan // generation 0: none
		Intent wire.Intent
		Nonce  string
	}
	// Registered brings all current registrations.
	Registered struct{ All []wire.Registration }
	// Beat brings a worker's heartbeat.
	Beat struct{ Beat wire.Beat }
	// Suspected brings a suspicion of a member, a parent or the checkpoint service.
	Suspected struct{ Suspicion wire.Suspicion }
	// ConnectionGone answers Probe: nobody listens where the worker did.
	ConnectionGone struct{ ID, Incarnation string }
	// Reconnected says that messages come again after this coordinator was cut off.
	// Others may have been cut off, too, and may be heard later.
	Reconnected struct{}
	// Committed says that the checkpoint of a step is durable.
	Committed struct{ Step uint64 }
	// Requested brings a request of a user. One Reply answers it.
	Requested struct {
		Control wire.Control
		Token   int
	}
	// Acknowledged says that the events with these keys are in the ledger.
	Acknowledged struct{ Keys []string }
	// PlanWritten answers WritePlan: it is stored.
	PlanWritten struct{}
	// PlanRejected answers WritePlan: it is not stored. Stored is the plan that is
	// stored instead, if that is known.
	PlanRejected struct{ Stored wire.Plan }
	// Tick says that time has passed. It should come four times in half a
	// failure timeout.
	Tick struct{}
)

func (Elected) event()        {}
func (Registered) event()     {}
func (Beat) event()           {}
func (Suspected) event()      {}
func (ConnectionGone) event() {}
func (Reconnected) event()    {}
func (Committed) event()      {}
func (Requested) event()      {}
func (Acknowledged) event()   {}
func (PlanWritten) event()    {}
func (PlanRejected) event()   {}
func (Tick) event()           {}

// Effect is an output of the roster. The package comment says in what order effects are
// carried out.
type Effect interface{ effect() }

type (
	// WritePlan stores a plan: try until the store has answered, then feed PlanWritten
	// or PlanRejected, exactly once. There is no other WritePlan before that.
	WritePlan struct{ Plan wire.Plan }
	// WriteIntent stores an intent: try until it is stored. A Reply behind it waits for
	// that.
	WriteIntent struct{ Intent wire.Intent }
	// Evict removes the registration of an incarnation that is gone: try until the
	// store has done it.
	Evict struct{ ID, Incarnation string }
	// Probe finds out whether a worker's connection is still there: at once, without
	// waiting for the store. Feed ConnectionGone if it is not, nothing otherwise.
	Probe struct{ ID, Incarnation string }
	// Record sends an event to the ledger: try until it is acknowledged, then feed
	// Acknowledged. Need not wait for the store, nor the store for it: plans carry
	// what is not acknowledged.
	Record struct{ Event wire.Event }
	// StateChanged says what state the run is in, for logs and people.
	StateChanged struct {
		State  wire.RunState
		Reason string
	}
	// Reply answers Requested, after every WriteIntent before it is stored; an empty Error
	// says that the request is accepted.
	Reply struct {
		Token int
		Error string
	}
)

func (WritePlan) effect()    {}
func (WriteIntent) effect()  {}
func (Evict) effect()        {}
func (Probe) effect()        {}
func (Record) effect()       {}
func (StateChanged) effect() {}
func (Reply) effect()        {}
