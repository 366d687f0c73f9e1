package simulation

// Bug is a deliberate mistake in the shells around the machines, by which tests
// show that the oracles find it.
type Bug int

// The mistakes.
const (
	NoBug              Bug = iota
	OldHellos              // hellos of older generations count as of this one
	LateFrames             // the ring takes frames of any generation, if they seem to fit
	ApplyTwice             // an entry that was fetched is applied twice
	ForgetHeld             // hellos do not say what a survivor holds
	OldExponents           // a sum is rounded with the exponents of the step before
	NoReset                // a sum goes on after its step
	TwoLeaders             // the store takes plans of anybody
	AckEarly               // a checkpoint is announced before it is durable
	NoDigests              // replicas do not compare what they hold, and one is not like the others
	MixedSnapshot          // the checkpoint service gives parts of what is newest, and nobody verifies the whole
	IgnoreEviction         // a worker does not heed that its registration was taken away
	KeepOldSlices          // slices of a last checkpoint that a dead member was to complete are not given up
	SlowLeave              // a worker is silent while it leaves a neighbour that does not listen
	LeaveMidStep           // a worker that is asked to leave does so at once
	WaitForPrevious        // a rank that has lost the next one waits for frames of the previous
	ForgetLineage          // hellos do not say that a state was trained
	InventLineage          // hellos say that a state was trained which is of a checkpoint
	NoWatchdog             // nobody looks after a computation that does not return
	SilenceCountsTwice     // a rank tells its neighbours that another is lost which is silent
	LostChunks             // the checkpoint service acknowledges chunks that it has lost
	OldChunks              // the checkpoint service takes chunks of older generations as if they were new
	StalePin               // a member gives the entry before the one that it is asked for, where it has pinned that
	SendBeforeSum          // a rank passes a chunk on before it has added its own
	RetryWithoutFence      // a plan that the store refuses is tried again without the guard
	WriteOutOfOrder        // the checkpoint service begins to write a state while it writes another
	LoseEvents             // a coordinator takes an event for delivered that nobody has acknowledged
	DonorBehind            // a worker that follows takes a state that is older than its own
	ForgetOrder            // a coordinator that takes over forgets to write its first plan
)
