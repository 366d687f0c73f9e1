// Package roster decides which workers take part in a run, as a pure state machine.
// Registrations, heartbeats, suspicions and requests of users go in with the time. Plans
// and intents to write come out.
//
// It guarantees, if the registrations that it gets are true:
//   - generations grow by one, and a plan is decided only when the last one is known to
//     be stored or rejected;
//   - no incarnation is in a plan after the evidence of its death was complete;
//   - no member leaves without evidence or a drain, with two exceptions. If fewer than the
//     minimum would stay, all members leave with their state and join again. And a member
//     on another host is left out if measurements show that the run is faster without it;
//   - members that finished are not taken for dead;
//   - the same events give the same effects.
//
// The evidence against a member is complete when
//   - the parent of its process says that it ended, or it says itself that it hangs, and
//     ends;
//   - a new incarnation of its ID registers;
//   - two members suspect it; or one does, and its connection is gone or it does not
//     answer;
//   - its registration ended, or it receives nothing, and it is silent;
//   - it sends no heartbeat for the failure timeout, or for longer where its link takes
//     longer, while others send theirs.
//
// A coordinator that receives no messages at all does not conclude that all workers are
// dead. When messages come again, it gives every worker time to send its own.
//
// The effects of an event are a list, which the shell carries out under these rules:
//  1. WritePlan, WriteIntent, Evict and Reply are carried out one after the other, in the
//     order in which they were returned, over all events: so a request is accepted after
//     its intent is stored.
//  2. Each of them is tried until the store has answered. If the answer shows that another
//     leader was elected, the term ends: nothing after it is carried out, and requests
//     that wait are refused.
//  3. WritePlan is answered by PlanWritten or PlanRejected before the next one is
//     decided. As long as it is unknown whether a plan is stored, there is no answer.
//  4. Record effects keep their order, and wait for nothing else. Those of a plan
//     are returned after it is stored. Plans carry the events that are not acknowledged,
//     for the next leader.
//  5. Probe and StateChanged are carried out at once.
//
// The roster has no goroutine, clock or network; package coordinator is the shell.
package roster
