// Package memstore is the store of a run in memory, for simulations and tests.
//
// A Server is the shared state; a Store is one process's connection to it, which
// Crash cuts the way a killed process is cut: its leases end when their time is
// up, and not before. Time is that of package time, and therefore virtual inside
// testing/synctest. Nothing outlives the process.
package memstore
