// Package replica is the replicated state of a run and the one deterministic
// way in which it changes.
//
// Training is a replicated log. The state is (step, weights, moments, exponent
// of each tensor); the entry of step s is the sum of the gradients of all
// micro-batches of that step, in integers; Apply turns a state and an entry
// into the next state. Two replicas that start equal and apply the same
// entries are equal in every bit, whatever computed the gradients:
//
//   - a micro-batch's gradient is rounded to fixed point with an exponent per
//     tensor, so the sum does not depend on who added what, nor on the order; in 16
//     bits, up or down by a chance that depends on seed, step, micro-batch and element;
//   - an element that does not fit is clamped, alike everywhere, to a bound
//     that no sum of all micro-batches can exceed; clamps are counted, and the
//     exponent makes room for the next step;
//   - Apply is elementwise IEEE arithmetic with explicit conversions, which the
//     Go compiler never fuses, and one norm that is summed in a fixed order;
//   - a micro-batch with a NaN or an infinity marks the entry, and Apply then
//     counts the step but leaves weights and moments as they are.
//
// It does not compute gradients, has no clock, network or disk, and does not
// compare replicas: it computes the Digest by which workers do.
package replica
