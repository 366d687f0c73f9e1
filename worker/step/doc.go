// Package step is one worker as a pure state machine: it greets the members of a
// generation, agrees with them on the newest applied step, catches up, computes its
// micro-batches, reduces and applies the entry, and repeats.
//
// Inputs are events and the time; outputs are effects, to be carried out in order.
// The machine has no goroutine, clock, network or tensor: package worker is its shell.
//
// It guarantees, if every member runs it and the generations of plans only grow:
//   - no entry is reduced unless it holds each micro-batch of its step exactly once,
//     whatever generations came and went meanwhile;
//   - a member never recomputes a micro-batch that a present member holds;
//   - weights and moments change only by entries in order or by a snapshot, and never
//     while a micro-batch is being computed from them;
//   - after the last step, or a stop that a member voted for, all members stop at the
//     same step.
//
// It does not decide membership: the coordinator's plans do. It trusts what members
// report about themselves.
package step
