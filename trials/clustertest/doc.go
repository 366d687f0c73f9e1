// Package clustertest tries whole clusters from outside: it builds both programs,
// starts them as a user would, kills what runs, damages what lies on the disk,
// and looks at nothing but output, exit codes and files.
//
// Its tests hold what the parts cannot show alone: that the weights of a run are
// the same bits whatever happened to its processes, that the ledger tells of it,
// that every mistake is answered in plain words, and that nothing is left behind.
// They need cgo and libtorch (scripts/env); without cgo the package is empty.
package clustertest
