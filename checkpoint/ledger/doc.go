// Package ledger is the account of a run that anyone can verify offline: what
// was measured, who took part, which steps were committed and which checkpoints
// hold them, as an append-only log (RFC 6962) with a signed head.
//
// A ledger is a folder of three files:
//
//	entries  one entry a line, as canonical JSON; a line is a leaf of the log
//	head     size and root of the log, signed (C2SP checkpoint, Ed25519)
//	key      the public key, as a note verifier key
//
// The private key lies elsewhere. Where it is not at hand, another may go on: an entry
// says so, signed by the key before where that can be had, and the account tells which.
// The file key stays the first, by which the log is known. The head is replaced atomically after the
// entries that it covers are on disk; an entry counts from then on. What stands
// behind the head was never acknowledged and is cut off when the log is opened.
// One process writes; any may verify meanwhile.
//
// Guaranteed: an entry whose Append returned is there after any crash. Verify
// fails if any bit of any of these files, or of a head that lies in a checkpoint
// folder, differs from what was written; if an entry is missing, added or moved;
// if an earlier head is not that of a prefix; or if the energy does not add up.
// It names the place. Readings and keyed entries count once, however often they
// are sent.
//
// Not guaranteed: that a sensor told the truth, and that the holder of the key
// did not write another history from the start. Against that, publish heads
// elsewhere: Verify proves that one seen before is a prefix of what stands now.
package ledger
