// Package natslink carries the frames of a ring over NATS.
//
// There are two ways. A Mailbox is a NATS server inside the worker: neighbours
// connect to it and publish, the worker itself reads without a socket. One hop
// from rank to rank, nothing shared: the fast way. Broker goes through a NATS
// server that all workers reach, for workers that do not reach each other.
//
// Both guarantee what allreduce.Link asks for: order, no silent loss in normal
// running (windows are far below every limit on the way), and subjects that
// name the run and the generation, so that late frames of an old generation
// reach nobody. A neighbour whose process dies is seen as lost about a
// millisecond later with a Mailbox, and within the probe interval with a
// Broker. A neighbour that is frozen is not seen: no connection closes.
//
// A link that is closed leaves no subscription, connection or goroutine behind.
//
// A mailbox asks those who connect for the secret of the run. With TLS frames are
// encrypted, and a neighbour is sure of the mailbox that it sends the secret to;
// without, they are neither encrypted nor authenticated any further. Through a
// broker they are as safe as its connections.
package natslink
