// Package shells holds no code, only trials of the shells of the three roles together:
// coordinator.Run, the checkpoint service and worker.Run train a whole run in one process,
// over a bus, a store, ring links and a disk in memory, in the virtual time of
// testing/synctest. A seed draws the run and its faults.
//
// A seed that passes has ended with the weights and moments of an undisturbed run, bit for
// bit, on the disk; every micro-batch was computed from the state of such a run; the audit
// holds; and no goroutine was left.
//
// Where the scheduler of Go decides, a seed is not played again alike: package
// simulation does that for the cores. Nothing here goes over a socket: natslink, natsbus
// and etcdstore have suites that their counterparts in memory pass as well.
package shells
