// Package slowlink is a network between two hosts that is as bad as one says: it
// delays packets, varies the delay, drops some, and takes no more than a rate, with
// a queue of a bounded length before it. The hosts are network namespaces of this
// machine, each with one end as its network device, so that the whole of TCP is the
// kernel's own. It stands in for netem where a kernel does not have it.
//
// It guarantees that packets of a direction arrive in the order in which they were
// sent, and that the same seed drops the same ones of the same sequence. It takes
// root, and does not model a medium that both directions share.
package slowlink
