// Package coordinator is the role that decides which worker computes which
// micro-batches. Several may run; the store elects one, and another takes over when it
// is gone. No training step waits for a coordinator.
//
// It is the shell of package roster, which decides: one goroutine owns the roster, feeds
// events to it and carries its effects out. It guarantees that
//   - effects on the store happen in their order, and a request of a user is
//     accepted only after the new intent is stored;
//   - a coordinator that lost the election without noticing changes nothing: the store
//     rejects its writes;
//   - events for the ledger reach the checkpoint service in their order: as long as this
//     process lives, it sends them again until they are acknowledged;
//   - shards and tokenizer are served by every coordinator, elected or not.
//
// It does not count steps in the ledger: the checkpoint service does, by its checkpoints.
// The energy in the status is that of the processes whose heartbeats this coordinator
// received. The whole energy of a run is in the ledger.
package coordinator
