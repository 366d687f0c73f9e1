// Package embedded runs etcd and NATS inside the process, for runs on one
// machine and for tests: nothing to install, and nothing that listens beyond
// this machine.
//
// Etcd is one member on unix sockets with its data on disk, synced as ever. NATS
// is one server on the loopback interface that wants a secret. Neither writes to
// standard output. Both are stopped by Close only.
package embedded
