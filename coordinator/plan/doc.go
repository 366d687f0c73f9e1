// Package plan turns the members of a generation into its plan: their order in the ring,
// and how many micro-batches each computes.
//
// It is a pure function. It guarantees that
//   - shares add up to the micro-batches of a step;
//   - every member has at least one where there are enough;
//   - no member has fewer than a slower one;
//   - members that stay keep their order in the ring.
//
// Rebalance computes how much faster new shares alone would make a step. The package does
// not decide which workers are members, nor for how long speeds must have changed:
// package roster does.
package plan
