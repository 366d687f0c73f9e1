package roster

import "github.com/gramme-project/gramme/internal/wire"

// Event is an input of the roster.
type Event interface{ event() }

type (
	// Elected begins a leadership with what is stored. Nonce is random; sessions
	// are named after it.
	Elected struct {
		Plan   wire.Plan // generation 0: none
		Intent wire.Intent
		Nonce  string
	}
	// Registered brings all registrations that there are.
	Registered struct{ All []wire.Registration }
	// Beat brings a worker's heartbeat.
	Beat struct{ Beat wire.Beat }
	// Suspected brings what a member or a parent knows of a worker's end.
	Suspected struct{ Suspicion wire.Suspicion }
	// ConnectionGone answers Ask: nobody listens where the worker did.
	ConnectionGone struct{ ID, Incarnation string }
	// Reconnected says that messages come again after a time in which this
	// coordinator was cut off. The others may have been, too, and may be heard
	// again only later.
	Reconnected struct{}
	// Committed says that the checkpoint of a step is durable.
	Committed struct{ Step uint64 }
	// Asked brings a request of a user. It is answered by one Reply.
	Asked struct {
		Control wire.Control
		Token   int
	}
	// Told says that the events with these keys are in the ledger.
	Told struct{ Keys []string }
	// PlanWritten answers WritePlan: it is stored.
	PlanWritten struct{}
	// PlanRejected answers WritePlan: it is not. Stored is what is stored
	// instead, if that is known.
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
func (Asked) event()          {}
func (Told) event()           {}
func (PlanWritten) event()    {}
func (PlanRejected) event()   {}
func (Tick) event()           {}

// Effect is an output of the roster. Effects are carried out in their order.
type Effect interface{ effect() }

type (
	// WritePlan stores a plan. It ends in PlanWritten or PlanRejected.
	WritePlan struct{ Plan wire.Plan }
	// WriteIntent stores an intent; it is tried until it is stored.
	WriteIntent struct{ Intent wire.Intent }
	// Evict removes the registration of an incarnation that is gone.
	Evict struct{ ID, Incarnation string }
	// Ask finds out whether a worker's connection is still there. It ends in
	// nothing or in ConnectionGone.
	Ask struct{ ID, Incarnation string }
	// Note is for the ledger.
	Note struct{ Event wire.Event }
	// StateChanged says how the run is.
	StateChanged struct {
		State  wire.RunState
		Reason string
	}
	// Reply answers Asked; an empty Error says that it is accepted.
	Reply struct {
		Token int
		Error string
	}
)

func (WritePlan) effect()    {}
func (WriteIntent) effect()  {}
func (Evict) effect()        {}
func (Ask) effect()          {}
func (Note) effect()         {}
func (StateChanged) effect() {}
func (Reply) effect()        {}
