// Package local is a whole cluster on one machine: etcd and NATS inside this
// process, and a process for the coordinator, the checkpoint service and each
// worker.
//
// It guarantees that a process which dies is started again while the run goes
// on, that the run fails with the last words of one that cannot live, and that
// nothing is left when Run returns: no process, no port, no file of the cluster.
// It does not train, decide or store anything itself.
package local
