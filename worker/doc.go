// Package worker executes the coordinator's plans: it computes the gradients of
// its micro-batches, sums them with the other members over the ring, applies
// the optimizer, serves its state to those who need it, and says how it is.
//
// It is the shell around worker/step: one goroutine owns that state machine and
// carries out its effects; computing, the ring, fetching, saving and serving each
// have a goroutine that answers with events. It knows the model as a Trainer
// only, so that it builds and tests without libtorch.
//
// It guarantees that Run returns only when everything that it started has
// ended, and that the state is changed by the owner of the state machine alone. A
// computation that does not return is told, and whoever started the worker has to end
// the process.
// It does not restart itself: who started it does that.
package worker
