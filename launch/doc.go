// Package launch is a whole cluster on one machine: etcd and NATS inside this
// process, and a process for the coordinator, the checkpoint service and each
// worker. Etcd and NATS may also be those that others run; then workers of other
// machines may join.
//
// It guarantees that a process which dies is started again while the run goes
// on, that the run fails with the last words of one that cannot live, and that
// nothing is left when Run returns: no process, no port, no file of the cluster.
// In an etcd that others run it leaves the keys of a run that has steps to do, and
// none of one that is done.
// It does not train or store anything itself. What becomes of the processes package
// supervisor decides; this one carries it out.
package launch
