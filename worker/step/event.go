package step

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// Event is an input of the machine.
type Event interface{ event() }

type (
	// PlanChanged brings the newest plan.
	PlanChanged struct{ Plan wire.Plan }
	// HelloReceived brings a member's hello at the beginning of a generation.
	HelloReceived struct{ Hello wire.Hello }
	// Computed says that the gradient of the requested micro-batch is ready.
	Computed struct {
		Step  uint64
		Index int
	}
	// Receiving says that the first part of the entry has come from the previous member.
	Receiving struct{ Generation, Step uint64 }
	// Reduced says that the entry of a step is complete.
	Reduced struct {
		Generation, Step uint64
		Took             time.Duration
	}
	// RingBroken says that the ring of a generation cannot go on. Rank is the neighbour at
	// fault, or -1.
	RingBroken struct {
		Generation uint64
		Rank       int
		Reason     string
	}
	// EntryFetched says that the entry of a step has been fetched from a peer.
	EntryFetched struct{ Generation, Step uint64 }
	// UpToDate says that the members which were asked for the entry of a step have yet to
	// apply it.
	UpToDate struct{ Generation, Step uint64 }
	// SnapshotFetched says that a state has been fetched.
	SnapshotFetched struct{ Generation, Step uint64 }
	// FetchFailed says that an entry or a snapshot could not be fetched.
	FetchFailed struct {
		Generation uint64
		Reason     string
	}
	// Digested is the answer to Digest.
	Digested struct {
		Step   uint64
		Digest string
	}
	// Applied is the answer to Apply.
	Applied struct {
		Step        uint64
		Stop, Pause bool // some member voted so
		Differ      bool // members started the step from different states
		Diverged    bool // the state after it shows a divergence for which the run stops
		Save        bool
	}
	// Loaded is the answer to Load.
	Loaded struct {
		Step     uint64
		Digest   string
		Diverged bool // as in Applied
	}
	// StopRequested asks that the run stop after the next step, or withdraws that.
	StopRequested struct{ Withdrawn bool }
	// DrainRequested asks that this worker leave after the next step.
	DrainRequested struct{}
	// Refused says that the run has refused this worker.
	Refused struct{}
	// Stored says that the checkpoint of a step is durable.
	Stored struct{ Step uint64 }
	// Tick says that time has passed.
	Tick struct{}
)

// BrokenBy returns the event of a ring that broke with an error. probe says that its members
// may no longer reach each other: a network may break between two workers that still reach
// everything else.
func BrokenBy(p wire.Plan, err error) (e RingBroken, probe bool) {
	probe = errors.Is(err, allreduce.ErrSilent) && p.Ring != wire.RingBroker
	return RingBroken{Generation: p.Generation, Rank: allreduce.FailedRank(err), Reason: err.Error()}, probe
}

// AppliedOf returns the event of an applied entry. differ says that the states of the members
// before it were not equal.
func AppliedOf(number uint64, o replica.Outcome, differ bool) Applied {
	return Applied{Step: number, Stop: o.Stop, Pause: o.Pause, Save: o.Save, Differ: differ}
}

func (PlanChanged) event()     {}
func (HelloReceived) event()   {}
func (Computed) event()        {}
func (Receiving) event()       {}
func (Reduced) event()         {}
func (RingBroken) event()      {}
func (EntryFetched) event()    {}
func (UpToDate) event()        {}
func (SnapshotFetched) event() {}
func (FetchFailed) event()     {}
func (Digested) event()        {}
func (Applied) event()         {}
func (Loaded) event()          {}
func (StopRequested) event()   {}
func (DrainRequested) event()  {}
func (Refused) event()         {}
func (Stored) event()          {}
func (Tick) event()            {}
