// Package shmlink moves the frames of a ring between two processes of one host through
// memory that both map: a payload is written once by the sender and used where it lies
// by the receiver. It is one direction of a link; package natslink, which knows the
// neighbours and when they are lost, uses it for neighbours on its own host.
//
// The receiver listens on a socket without a file (Linux's abstract names) and hands out
// an Offer. The sender connects, makes the memory (memfd_create, sealed against
// shrinking), and passes it over the socket. From then on the socket carries headers and
// places one way, acknowledgements and freed frames the other way. Waiting is reading
// from the socket: nobody spins.
//
// It guarantees that
//
//   - both ends are processes of one boot of one machine and of one user, as the kernel
//     says; anybody else is refused;
//   - nothing is left when processes are killed: neither the socket nor the memory has a
//     file;
//   - frames arrive in order; those that a sender gave before it ended, or was killed,
//     can be received after;
//   - memory of a frame is not written again before the receiver has used it;
//   - no frame of the peer makes this process read outside the memory.
//
// It does not detect a peer that is frozen, and does not say why one has ended. It does
// not check what frames hold: their checksums do. Processes in different network
// namespaces do not reach each other, and Dial says so.
package shmlink
