// Package checkpoint is the checkpoint service: it receives slices of the state
// and energy readings from the workers and persists weights together with the
// cumulative energy ledger.
//
// A checkpoint is a folder RUN/checkpoints/step-N that Hugging Face transformers
// loads as it is, with the optimizer's state, what else a run needs to go on, the
// signed head of the ledger at that time, and a manifest with the SHA-256 of every
// file. It becomes visible by one rename, after an entry of the ledger holds the
// manifest's hash: what is visible is in the ledger, and the entry is the moment at
// which the checkpoint counts.
//
// It guarantees that
//   - a visible checkpoint is whole and durable, whatever crashed or lost power
//     when; the newest ones are kept, and `latest` names the newest;
//   - a checkpoint that does not verify is set aside under another name, with the
//     reason in the ledger, and the one before it is used;
//   - whoever reads a checkpoint (Choose) takes the one that a service would go on
//     from, and hears why not a newer one;
//   - two runs whose replicas are equal write the same bytes of model.safetensors
//     and optimizer.safetensors;
//   - a reading or event that was acknowledged is in the ledger, once;
//   - a service that takes up a ledger again proves in it that the ledger which its
//     checkpoint knew is a prefix.
//
// It does not decide when to save, nor who takes part: workers send slices, and
// another service may take over from the folder alone: without the key of the ledger
// under a new one, and the ledger says so. One process writes a run's
// folder at a time; the ledger's lock sees to that.
package checkpoint
