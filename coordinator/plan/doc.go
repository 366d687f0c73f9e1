// Package plan turns the members of a generation into its plan: who stands where
// in the ring and computes how many micro-batches.
//
// It is a pure function. It guarantees that shares add up to the micro-batches of
// a step, that every member has at least one where there are enough, that nobody
// has fewer than a slower member, and that survivors keep their order in the
// ring. Rebalance tells what a plan for the speeds alone would gain: nothing where
// no other shares are better. It does not decide who is a member, nor how long
// speeds must have been so: package roster does.
package plan
