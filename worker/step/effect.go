package step

import (
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// Effect is an output of the machine.
type Effect interface{ effect() }

type (
	// SendHello publishes a hello to the members.
	SendHello struct{ Hello wire.Hello }
	// Digest asks for the digest of the state, and answers Digested, at once.
	Digest struct{}
	// OpenRing begins to connect the ring of a plan. It ends in nothing or in
	// RingBroken.
	OpenRing struct {
		Plan wire.Plan
		Rank int
	}
	// CloseRing ends the ring of the generation before, with whatever reduction
	// or fetch of it is under way. Its late answers are ignored.
	CloseRing struct{}
	// Compute asks for the gradient of a micro-batch; one at a time. It ends in
	// Computed. Again says that an earlier generation had given it to a member
	// that is gone.
	Compute struct {
		Step  uint64
		Index int
		Again bool
	}
	// Add adds the gradient that was just computed to the sum of the next entry.
	// At once: the next Compute comes after it.
	Add struct{ Index int }
	// Reset empties the sum: it begins anew for the step after the applied one.
	Reset struct{}
	// Reduce sums the entry of a step over the members, with this worker's
	// votes. It ends in Reduced or RingBroken.
	Reduce struct {
		Generation, Step uint64
		Votes            replica.Votes
	}
	// Apply applies the entry that was reduced or fetched, and answers Applied,
	// at once.
	Apply struct{ Step uint64 }
	// Load replaces the state by the snapshot that was fetched, and answers
	// Loaded, at once.
	Load struct{ Step uint64 }
	// FetchEntry asks members for the entry of a step. It ends in EntryFetched or
	// FetchFailed. Await says that the step may have yet to come: then it waits for
	// it, after a word of UpToDate.
	FetchEntry struct {
		Generation, Step uint64
		From             []string
		Await            bool
	}
	// FetchHeld asks members to keep their state of one moment and the entries since
	// while they go on, and brings that state if it is newer than a step. It ends in
	// SnapshotFetched or FetchFailed.
	FetchHeld struct {
		Generation, Newer uint64
		From              []string
	}
	// FetchSnapshot asks one of some equal members for its state; or, without a digest,
	// the checkpoint service for that of a step or a newer one. It ends in
	// SnapshotFetched or FetchFailed.
	FetchSnapshot struct {
		Generation, Step uint64
		From             []string
		Digest           string
	}
	// Save sends this rank's slice of the state to the checkpoint service.
	Save struct {
		Step, Generation uint64
		Rank, World      int
		Final            bool
	}
	// Suspect tells the coordinator that a member seems gone, or that the ring
	// of this generation is broken.
	Suspect struct{ Suspicion wire.Suspicion }
	// Outside says that a plan came in which this worker is no member any more:
	// it must register anew to take part.
	Outside struct{ Reason string }
	// Diverged says that this replica's state is not that of the others; it is
	// replaced by theirs.
	Diverged struct {
		Step         uint64
		Mine, Theirs string
	}
	// Finish says that all is done and stored: this worker may exit.
	Finish struct{ Step uint64 }
)

// Fits reports whether a state that is offered is the one that is wanted.
func (f FetchSnapshot) Fits(info wire.SnapshotInfo) bool {
	if f.Digest == "" {
		return info.Found && info.Step >= f.Step
	}
	return info.Found && info.Step == f.Step && info.Digest == f.Digest
}

func (SendHello) effect()     {}
func (Digest) effect()        {}
func (OpenRing) effect()      {}
func (CloseRing) effect()     {}
func (Compute) effect()       {}
func (Add) effect()           {}
func (Reset) effect()         {}
func (Reduce) effect()        {}
func (Apply) effect()         {}
func (Load) effect()          {}
func (FetchEntry) effect()    {}
func (FetchHeld) effect()     {}
func (FetchSnapshot) effect() {}
func (Save) effect()          {}
func (Suspect) effect()       {}
func (Outside) effect()       {}
func (Diverged) effect()      {}
func (Finish) effect()        {}
