package simulation

// Bug is a deliberate mistake in the shells around the machines, by which tests
// show that the oracles find it.
type Bug int

// The mistakes.
const (
	NoBug         Bug = iota
	OldHellos         // hellos of older generations count as of this one
	OldReductions     // a reduction of an older generation counts as of this one
	LateFrames        // the ring takes frames of older generations
	ApplyTwice        // an entry that was fetched is applied twice
	ForgetHeld        // hellos do not say what a survivor holds
	OldExponents      // a sum is rounded with the exponents of the step before
	NoReset           // a sum goes on after its step
	TwoLeaders        // the store takes plans of anybody
	AckEarly          // a checkpoint is announced before it is durable
	NoDigests         // replicas do not compare what they hold
	MixedSnapshot     // a donor that has moved on gives what it has, unverified
	LeaveMidStep      // a worker that is asked to leave does so at once
)
