package allreduce

import (
	"errors"
	"fmt"
)

// Failures of a peer or its frames, for errors.Is on a *PeerError.
var (
	// ErrLost: the connection is closed, most likely because the process ended.
	ErrLost = errors.New("connection lost")
	// ErrSilent is a kind of ErrLost: the connection is open, but nothing moves on it.
	// The network between is cut, or the peer's machine is gone.
	ErrSilent = fmt.Errorf("%w, nothing comes from it", ErrLost)
	// ErrLeft: the peer announced that it leaves this generation, and lives.
	ErrLeft = errors.New("left the ring")
	// ErrCorrupt: a frame is malformed or its checksum is wrong.
	ErrCorrupt = errors.New("corrupt frame")
	// ErrSequence: a frame was lost, repeated or reordered.
	ErrSequence = errors.New("frame out of sequence")
	// ErrForeign: a frame of another run, another ring or a future generation.
	ErrForeign = errors.New("foreign frame")
	// ErrMismatch: a frame of another step or place than scheduled: the two ranks do not
	// reduce the same vector.
	ErrMismatch = errors.New("frame does not fit the schedule")
)

// PeerError is a failure of another rank, or of the connection to it.
type PeerError struct {
	Rank int // in the ring of this generation
	Err  error
}

func (e *PeerError) Error() string { return fmt.Sprintf("rank %d: %v", e.Rank, e.Err) }
func (e *PeerError) Unwrap() error { return e.Err }

// FailedRank returns the rank whose death may be the cause of err, or -1. A rank that left
// a ring has said that it lives; a rank that is silent may be silent from here only.
func FailedRank(err error) int {
	var peer *PeerError
	if !errors.As(err, &peer) || errors.Is(peer.Err, ErrLeft) || errors.Is(peer.Err, ErrSilent) {
		return -1
	}
	return peer.Rank
}
