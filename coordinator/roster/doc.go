// Package roster decides who takes part in a run, as a pure state machine:
// registrations, heartbeats, suspicions and requests of users go in with the
// time, plans and intents to write come out.
//
// It guarantees, if it is told the truth about registrations:
//   - generations grow by one, and a plan is decided only when the one before is
//     known to be stored or refused;
//   - no incarnation is in a plan after the evidence of its death was complete,
//     and none leaves without evidence or a drain, unless those who stay are
//     fewer than the minimum: then all are let go, with the state that they hold,
//     and join again; or unless the run was measured to be faster without one of
//     another host;
//   - members that finished are not taken for dead;
//   - the same events give the same effects.
//
// Evidence is complete when the parent of a process says that it ended; it says
// itself that it hangs, and ends; a new incarnation of the ID registers; two members
// suspect it, or one does and its connection is gone or it stays silent when asked;
// its registration ended and it is silent; it sends no heartbeat for the failure
// timeout, or for longer where its link takes longer, while others do.
// Whoever does not hear anybody does not conclude that all are dead, nor, when it
// hears again, that those are whom it does not hear yet.
//
// It has no goroutine, clock or network; package coordinator is the shell.
package roster
