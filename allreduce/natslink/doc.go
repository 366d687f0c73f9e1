// Package natslink carries the frames of a ring over NATS.
//
// There are two transports. A Mailbox is a NATS server inside the worker: neighbours
// connect to it and publish, and the worker itself reads without a socket. Frames take
// one hop from rank to rank and share nothing: this is the fast one. A Relay goes through
// a NATS server that all workers reach, the broker, for workers that do not reach each
// other.
//
// Between workers of one host, frames and acknowledgements of a mailbox go through memory
// that both map (package shmlink), and everything else as before: whether a neighbour is
// present, lost or silent, and why it leaves. Where memory is not to be had, frames take
// the connection, and the link says why.
//
// Both transports guarantee what allreduce.Link asks for: order, no silent loss in normal
// operation (windows are far below every limit between two ranks), and subjects that
// name the run and the generation, so late frames of an old generation reach nobody. A
// neighbour whose process dies counts as lost about a millisecond later with a Mailbox,
// and within the probe interval through a broker. A frozen neighbour is not detected: no
// connection closes.
//
// A link that is closed leaves no subscription, connection or goroutine behind.
//
// A mailbox requires the secret of the run. With TLS, frames are encrypted, and a
// neighbour verifies the mailbox before it sends the secret; without TLS, frames are
// neither encrypted nor authenticated further. Memory is shared with processes of the
// same user only, as the kernel says. Through a broker, frames are as safe as
// its connections.
package natslink
