package allreduce

import "context"

// Link is one rank's place in the ring of one generation: frames go to the next
// rank (rank+1) and come from the previous one (rank−1), acknowledgements the
// other way. Send and Credits are called by one goroutine, Receive and
// Acknowledge by another, Abort, Close and Lost by any.
//
// A Link may lose, repeat or alter frames only where the Ring can notice:
// frames carry sequence numbers and checksums.
type Link interface {
	// Send gives a frame to the transport, header and payload in this order as
	// two parts, and keeps neither. It may block while the transport is busy;
	// Abort and Close free it.
	Send(ctx context.Context, header, payload []byte) error
	// Receive waits for the next frame, or for the end: the previous rank is gone, or
	// the next one is lost, which nobody else may know. Frames that arrived before are
	// delivered first. The caller owns both parts.
	Receive(ctx context.Context) (header, payload []byte, err error)
	// Acknowledge tells the previous rank that n more of its frames were used.
	Acknowledge(n int) error
	// Credits waits for an acknowledgement of the next rank and returns how many
	// more of the frames sent to it were used.
	Credits(ctx context.Context) (int, error)
	// Lost is closed when a neighbour is known to be gone or to have left.
	Lost() <-chan struct{}
	// Err returns the *PeerError that says who was lost and why, once Lost is
	// closed.
	Err() error
	// Abort is Close with a reason for the neighbours. A *PeerError names the
	// rank at fault; any other reason is this rank's own.
	Abort(reason error)
	// Close leaves the ring and frees what the link holds. The neighbours see it
	// as Lost, with ErrLeft. It may be called again, also after Abort.
	Close() error
}
