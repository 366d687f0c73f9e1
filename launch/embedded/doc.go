// Package embedded runs etcd and NATS inside the process.
//
// For runs on one machine, and for tests, there is nothing to install and nothing
// that listens beyond this machine: etcd is one member on unix sockets with its
// data on disk, synced as ever, NATS one server on the loopback interface that
// wants a secret. A member of an etcd cluster and a server of a NATS cluster, with
// TLS, are for trials of what uses such clusters.
//
// Neither writes to standard output. All are stopped by Close only.
package embedded
