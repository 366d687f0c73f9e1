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
	// Digest asks for the digest of the state. Digested answers at once.
	Digest struct{}
	// OpenRing begins to connect the ring of a plan. Only a failure is answered, by
	// RingBroken.
	OpenRing struct {
		Plan wire.Plan
		Rank int
	}
	// CloseRing ends the ring of the last generation, with any reduction or fetch in
	// flight. Late answers are ignored.
	CloseRing struct{}
	// Compute asks for the gradient of a micro-batch, one at a time. Computed answers.
	// Recompute says that an earlier generation had assigned it to a member that is lost.
	Compute struct {
		Step      uint64
		Index     int
		Recompute bool
	}
	// Add adds the gradient that was just computed to the sum of the next entry, at once:
	// the next Compute overwrites the gradient.
	Add struct{ Index int }
	// Reset empties the sum, which then belongs to the step after the applied one.
	Reset struct{}
	// Reduce sums the entry of a step over the members, with this worker's votes. Reduced
	// or RingBroken answers.
	Reduce struct {
		Generation, Step uint64
		Votes            replica.Votes
	}
	// Apply applies the entry that was reduced or fetched. Applied answers at once.
	Apply struct{ Step uint64 }
	// Load replaces the state by the snapshot that was fetched. Loaded answers at once.
	Load struct{ Step uint64 }
	// FetchEntry asks members for the entry of a step. EntryFetched or FetchFailed answers.
	// With Await, an entry that has yet to come is waited for, after one UpToDate.
	FetchEntry struct {
		Generation, Step uint64
		From             []string
		Await            bool
	}
	// FetchPinned asks a member to pin its state after a step, and the entries since, while
	// it trains on; it fetches that state if it is newer than step Newer. SnapshotFetched
	// or FetchFailed answers.
	FetchPinned struct {
		Generation, Newer uint64
		From              []string
	}
	// FetchSnapshot fetches the state of members that are equal; or, without a digest, the
	// checkpoint service's of that step or a newer one. SnapshotFetched or FetchFailed
	// answers.
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
	// Suspect tells the coordinator that a member seems lost, or that the ring of this
	// generation is broken.
	Suspect struct{ Suspicion wire.Suspicion }
	// LeftOut says that this worker is no longer a member in the newest plan: it must
	// register again to take part.
	LeftOut struct{ Reason string }
	// ReplicaDiffers says that this replica differs from the others; their state replaces it.
	ReplicaDiffers struct {
		Step         uint64
		Mine, Theirs string
	}
	// Finish says that everything is stored: this worker may exit.
	Finish struct{ Step uint64 }
)

// Fits reports whether an offered state is the requested one.
func (f FetchSnapshot) Fits(info wire.SnapshotInfo) bool {
	if f.Digest == "" {
		return info.Found && info.Step >= f.Step
	}
	return info.Found && info.Step == f.Step && info.Digest == f.Digest
}

// Header begins the headers of the slice that a worker saves.
func (s Save) Header(worker string) wire.SliceHeader {
	return wire.SliceHeader{
		Step: s.Step, Generation: s.Generation, Rank: s.Rank, World: s.World, Worker: worker, Final: s.Final,
	}
}

func (SendHello) effect()      {}
func (Digest) effect()         {}
func (OpenRing) effect()       {}
func (CloseRing) effect()      {}
func (Compute) effect()        {}
func (Add) effect()            {}
func (Reset) effect()          {}
func (Reduce) effect()         {}
func (Apply) effect()          {}
func (Load) effect()           {}
func (FetchEntry) effect()     {}
func (FetchPinned) effect()    {}
func (FetchSnapshot) effect()  {}
func (Save) effect()           {}
func (Suspect) effect()        {}
func (LeftOut) effect()        {}
func (ReplicaDiffers) effect() {}
func (Finish) effect()         {}
