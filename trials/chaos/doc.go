// Package chaos tries what an elastic run promises, on real processes: it trains
// undisturbed with one worker, trains the same once more under `gramme up` while
// it kills, freezes, cuts off, drains and interrupts what a seed says, and compares.
//
// Drawing, measuring and judging are functions of values: the same plan gives the
// same faults, and what a fault cost is computed from what the status showed over
// time. The rest is a thin shell that starts processes, sends signals and asks for
// the status.
//
// It guarantees that a run which passes ended with the bits of the undisturbed
// one, that its ledger and checkpoints verify and count every sample once, and
// that nothing of it is left: no process, socket or port, also when it fails or
// its context ends. Which process a fault hits depends on who is there at that
// moment, and so on the machine. Etcd inside of `gramme up` is reached by a unix
// socket, which no cut reaches: with services of their own, it is cut off as well.
package chaos
