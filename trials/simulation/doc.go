// Package simulation runs a whole cluster in one goroutine under virtual time:
// coordinators, workers, the checkpoint service, etcd, NATS, and a parent that restarts
// processes. One seed decides the order of all events and the faults, so
// that a seed that fails is played again exactly.
//
// The machines that decide and the arithmetic are those that ship: worker/step, worker/pin,
// worker/fetch, worker/upload, coordinator/roster, coordinator/plan, coordinator/orders,
// checkpoint/assembly, allreduce.Exchange, allreduce/neighbour, and package replica (sums,
// updates, digests). A test looks for copies of what ships.
//
// Models are the shells, which perform effects as packages worker, coordinator and checkpoint
// do, and the services that they need:
//   - etcd (store.go): leases that end when they are not renewed and are written
//     again, an election, guarded transactions, watches that skip values. Calls
//     can be lost before or after they took effect. It passes the suite that
//     package etcdstore passes;
//   - NATS (broker.go): in order within a connection; what is on the way is lost
//     when a connection breaks, what is published meanwhile waits for the next;
//   - slow links that lose packets (slowlink.go): to and from one worker messages take
//     longer, and are held up while TCP sends lost packets again;
//   - the ring's links (links.go): in order, stalled by a partition or a frozen
//     process, seen to close when a process ends, or not seen where its host went.
//     They pass the suite that package natslink passes, but for acknowledgements,
//     which the simulation does without;
//   - the disk of the checkpoint service (service.go): a checkpoint is durable or it
//     is not. Files and energy are tested in package checkpoint; of the ledger the
//     oracle knows which events it has, and from where training began, by which lost
//     work is counted;
//   - the model (package toy): gradients that depend on weights, batch and seed and
//     differ in every element, some large enough to be clamped, some not finite.
//
// Every seed is held against oracles (oracle.go), which know a naive run of one
// worker and what was done to whom. They guarantee that the machines keep their
// promises in the orders of events that were drawn, not in all; and they say
// nothing of what only the real shells do: encoding, sockets, files, goroutines,
// flow control, and a ring that goes through NATS.
package simulation
