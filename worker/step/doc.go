// Package step is what one worker does, as a pure state machine: greet the
// members of a generation, agree with them on the newest applied step, catch up,
// compute the micro-batches that are its own, reduce, apply, and again.
//
// Inputs are events and the time; outputs are effects, to be carried out in
// their order. There is no goroutine, clock, network or tensor here: package
// worker is the shell around it.
//
// It guarantees, if every member runs it and the plans' generations only grow:
//   - no entry is reduced unless it holds each micro-batch of its step exactly
//     once, whatever generations came and went while it was computed;
//   - a member never computes a micro-batch again that a present member holds;
//   - weights and moments change only by entries in their order or by a snapshot,
//     and never while a micro-batch is being computed from them;
//   - after the last step, or a stop that a member voted for, all members stop
//     with the same step.
//
// It does not decide who is a member: the coordinator's plans do. It trusts what
// members say of themselves.
package step
