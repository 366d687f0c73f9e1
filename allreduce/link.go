package allreduce

import "context"

// Link connects one rank to its neighbours in the ring of one generation: frames go
// to the next rank (rank+1) and come from the previous one (rank−1),
// acknowledgements go the other way. One goroutine calls Send and Credits, another
// Receive and Acknowledge; any may call Abort, Close and Lost.
//
// A Link may lose, repeat or alter frames only where the Ring can notice:
// frames carry sequence numbers and checksums.
type Link interface {
	// Send gives the header and the payload of a frame to the transport and keeps
	// neither. It may block while the transport is busy; Abort and Close free it.
	Send(ctx context.Context, header, payload []byte) error
	// Receive waits for the next frame, calls use with its parts, and returns what use
	// returns. The parts may be memory of the link: they are valid until use returns. use
	// must not wait for anything, as Close waits for it. Receive fails once the previous
	// rank is gone, or the next one is lost, which no other rank may know. Frames that
	// arrived before are delivered first.
	Receive(ctx context.Context, use func(header, payload []byte) error) error
	// Acknowledge tells the previous rank that n more of its frames were used.
	Acknowledge(n int) error
	// Credits waits for an acknowledgement by the next rank and returns how many more of
	// the frames sent to it were used.
	Credits(ctx context.Context) (int, error)
	// Lost is closed when a neighbour is known to be gone or to have left.
	Lost() <-chan struct{}
	// Err returns, once Lost is closed, the *PeerError that names the lost rank and the
	// reason.
	Err() error
	// Abort is Close with a reason for the neighbours. A *PeerError names the rank at
	// fault; with any other reason it is this rank itself.
	Abort(reason error)
	// Close leaves the ring and frees what the link holds. The neighbours see it as Lost,
	// with ErrLeft. It may be called again, also after Abort.
	Close() error
}
