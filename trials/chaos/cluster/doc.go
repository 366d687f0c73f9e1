// Package cluster is three etcd members and three NATS servers on this
// machine, each a process of its own, with TLS and client certificates of an
// authority of their own: to try how a run does on a cluster that exists, and what
// it does while members of that are gone.
//
// It guarantees that a member which was killed comes back with its data at its
// address, and that no process is left after Close, or when the process that
// started them ends. It listens on loopback only. The data has no value afterwards: the
// caller removes the folder.
package cluster
