// Package allreduce sums vectors over the workers of one generation in a ring:
// reduce-scatter, then all-gather, so that each rank sends and receives
// 2·(world−1)/world of the vector whatever the world size (Patarasuk and Yuan,
// "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
//
// It guarantees that
//
//   - every rank that gets a result gets the same bits;
//   - a rank's own contribution is never written, so that it is still there for
//     the next generation after a reduction was broken off;
//   - a frame that was lost, repeated, reordered, altered or belongs elsewhere
//     never enters a sum: it ends the reduction with an error that names it;
//   - a frame of an older generation is dropped;
//   - a slow receiver stalls its sender instead of losing frames: no more than a
//     window of frames is on the way between two ranks;
//   - receiving never waits for sending, so that no window is too small.
//
// It does not decide who is a member, does not repair a ring, and does not find
// out that a peer has stopped without its connection closing: the caller's
// context ends the wait. After any error the ring of a generation is dead, and
// its neighbours are told why.
//
// The schedule and the frames are pure; a Link carries frames between
// neighbours. Package memlink has one in memory, package natslink one over NATS.
package allreduce
