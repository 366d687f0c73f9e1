package allreduce

import (
	"errors"
	"fmt"
)

// What can be wrong with a peer or its frames, for errors.Is on a *PeerError.
var (
	// ErrLost: its connection is closed, most likely with its process.
	ErrLost = errors.New("connection lost")
	// ErrSilent, one kind of ErrLost: nothing comes from where it is, and no word of
	// its end either. The way to it is cut, or its machine is gone.
	ErrSilent = fmt.Errorf("%w, nothing comes from it", ErrLost)
	// ErrLeft: it said that it left this generation, and lives.
	ErrLeft = errors.New("left the ring")
	// ErrCorrupt: a frame is malformed or its checksum is wrong.
	ErrCorrupt = errors.New("corrupt frame")
	// ErrSequence: a frame was lost, repeated or reordered.
	ErrSequence = errors.New("frame out of sequence")
	// ErrForeign: a frame of another run, another ring or a future generation.
	ErrForeign = errors.New("foreign frame")
	// ErrMismatch: a frame of another step or place than the schedule's: the two
	// ranks do not reduce the same thing.
	ErrMismatch = errors.New("frame does not fit the schedule")
)

// PeerError is a failure of another rank, or of the way to it.
type PeerError struct {
	Rank int // in the ring of this generation
	Err  error
}

func (e *PeerError) Error() string { return fmt.Sprintf("rank %d: %v", e.Rank, e.Err) }
func (e *PeerError) Unwrap() error { return e.Err }

// Blame returns the rank whose end may be why a reduction or a link failed with err,
// or -1. Who left a ring has said that it lives; who is silent may be so from here
// only.
func Blame(err error) int {
	var peer *PeerError
	if !errors.As(err, &peer) || errors.Is(peer.Err, ErrLeft) || errors.Is(peer.Err, ErrSilent) {
		return -1
	}
	return peer.Rank
}
