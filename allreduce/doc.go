// Package allreduce sums vectors over the workers of one generation in a ring:
// reduce-scatter, then all-gather, so that each rank sends and receives
// 2·(world−1)/world of the vector whatever the world size (Patarasuk and Yuan,
// "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009).
// The vector travels in chunks, one in each frame. Other libraries call them buckets.
//
// It guarantees that
//
//   - every rank that gets a result gets the same bits;
//   - a rank's own contribution is never written, so it is still there for the next
//     generation after a reduction was aborted;
//   - a frame that was lost, repeated, reordered, altered or belongs elsewhere
//     never enters a sum: it ends the reduction with an error that names it;
//   - a frame of an older generation is dropped;
//   - a slow receiver stalls its sender instead of losing frames: at most a window
//     of frames is in flight between two ranks;
//   - receiving never waits for sending, so no window is too small.
//
// It does not decide membership, does not repair a ring, and does not detect a peer
// that stops without closing its connection: the caller's context ends the wait.
// After any error the ring of a generation is broken, and its neighbours learn why.
//
// The schedule and the frames are pure; a Link carries frames between
// neighbours: inside a process (package memlink) or over NATS, and through shared memory
// on one host (package natslink).
package allreduce
