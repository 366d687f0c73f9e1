// Package plan turns the members of a generation into its plan: their order in the ring,
// and how many micro-batches each computes.
//
// It is a pure function. It guarantees that
//   - shares add up to the micro-batches of a step;
//   - every member has at least one where there are enough;
//   - no member has fewer than a slower one;
//   - members that stay keep their order in the ring.
//
// Rebalance tells what new shares alone would gain. The package does not decide who is a
// member, nor how long speeds must have changed: package roster does.
package plan
