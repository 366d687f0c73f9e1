// Package assembly puts the states of checkpoints together from the slices that the
// workers send. It is a pure state machine: chunks go in, and it says which are taken
// and when a state is whole.
//
// It guarantees that a whole state has every element and the digest that rank 0 sent,
// and that no state older than a stored one is whole. Which worker sends what does
// not matter: the state of a step is one, so a chunk that comes twice brings the same
// bytes. It does not write anything, and it does not know who answers the senders.
package assembly
