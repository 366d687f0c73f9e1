// Package ledger is the account of a run that anyone can verify offline: what was
// measured, which workers took part, which steps were committed and which checkpoints
// hold them, as an append-only log (RFC 6962) with a signed head.
//
// A ledger is a folder of three files:
//
//	entries  one entry per line, as canonical JSON; a line is a leaf of the log
//	head     size and root of the log, signed (C2SP checkpoint, Ed25519)
//	key      the public key, as a note verifier key
//
// The private key is kept elsewhere. If it is not available, another key may go on: an
// entry says so, signed by the previous key where possible, and the account reports it.
// The file key remains the first key, which identifies the log. The head is replaced
// atomically after the entries that it covers are on disk; entries count from then on.
// Entries after those that the head covers were never acknowledged and are cut off when
// the log is opened. One process writes; any process may verify meanwhile.
//
// Guaranteed: an entry whose Append returned survives any crash. Verify fails if any bit
// of these files, or of a head in a checkpoint folder, differs from what was written; if
// an entry is missing, added or moved; if an earlier head is not that of a prefix; or if
// the energy does not add up. The error names the place. Readings and keyed entries count
// once, however often they are sent.
//
// Not guaranteed: that a sensor told the truth, and that the owner of the key did not
// write another history from the start. Against that, publish heads elsewhere: Verify
// proves that an earlier head is a prefix of the present log.
package ledger
