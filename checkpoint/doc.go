// Package checkpoint is the checkpoint service: it receives slices of the state
// and energy readings from the workers and persists weights together with the
// cumulative energy ledger.
//
// A checkpoint is a folder RUN/checkpoints/step-N that Hugging Face transformers loads
// unchanged, with the optimizer's state, the run's state, the signed head of the ledger
// at that time, and a manifest with the SHA-256 of every file. It becomes visible by one
// rename, after an entry of the ledger holds the manifest's hash: every visible
// checkpoint is in the ledger, and counts from that entry on.
//
// It guarantees that
//   - a visible checkpoint is complete and durable, whenever a process crashed or the
//     power failed; the newest ones are kept, and `latest` names the newest;
//   - a checkpoint that does not verify is set aside under another name, with the
//     reason in the ledger, and the previous one is used;
//   - readers of a checkpoint (Choose) take the one from which a service would go on,
//     and learn why it is not a newer one;
//   - two runs whose replicas are equal write the same bytes of model.safetensors
//     and optimizer.safetensors;
//   - a reading or event that was acknowledged is in the ledger, once;
//   - a service that resumes a ledger proves in it that the ledger of its checkpoint is
//     a prefix.
//
// It does not decide when to save, nor which workers take part: workers send slices.
// Another service may take over with the folder alone; without the ledger's key it signs
// with a new one, and the ledger says so. One process at a time writes a run's folder;
// the lock of the ledger ensures that.
package checkpoint
