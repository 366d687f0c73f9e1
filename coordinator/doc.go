// Package coordinator is the role that decides who trains what. Several may run;
// the store elects one, and another takes over when it is gone. No training step
// waits for a coordinator.
//
// It is the shell of package roster, which decides: one goroutine owns the roster, feeds
// events to it and carries its effects out. It guarantees that
//   - effects on the store happen in their order, and a request of a user is
//     accepted only after what it asks for is stored;
//   - a coordinator that lost the election without noticing changes nothing: the store
//     rejects its writes;
//   - events for the ledger reach the checkpoint service in their order, however
//     often that has to be tried, as long as this process lives;
//   - shards and tokenizer are served by every coordinator, elected or not.
//
// It does not count steps in the ledger: the checkpoint service does, by its checkpoints.
// Energy in the status is that of the processes which this coordinator heard from. The
// account of a run is the ledger.
package coordinator
