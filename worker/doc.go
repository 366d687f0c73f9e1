// Package worker executes the coordinator's plans: it computes the gradients of its
// micro-batches, sums them with the other members over the ring, applies the
// optimizer, serves its state to other workers, and sends heartbeats.
//
// It is the shell around worker/step: one goroutine owns that state machine and
// carries out its effects; computing, the ring, fetching, saving and serving each
// have a goroutine that answers with events. It knows the model as a Trainer
// only, so that it builds and tests without libtorch.
//
// It guarantees that Run returns only when everything that it started has ended, and that
// only the owner of the state machine changes the state. It reports a computation that
// does not return, and lets the checkpoint service store what it has applied if no other
// member holds that; the caller then has to end the process.
//
// It does not restart itself: its supervisor does.
package worker
