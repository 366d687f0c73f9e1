// Package sampler turns the chunks of a prepared corpus into micro-batches: it
// draws their order, the cut between the segments, the random next segments and
// the masks.
//
// It guarantees:
//   - a batch is a pure function of (seed, step, index) and the corpus: any
//     process may ask for any batch in any order, at the same cost;
//   - an epoch has every chunk as first segment exactly once and every second
//     half exactly once, so it uses every token once, except the few that
//     Batch.Truncated counts;
//   - a random second half is of another document;
//   - memory is bounded by the shards of two windows.
//
// The corpus is read through the load function given to New; the package has no
// disk, network, clock or goroutine of its own.
//
// Samples are numbered n = (step*MicroBatches + index)*Rows + row. The epoch is
// n / chunks; each epoch permutes the shards, cuts that order into windows of a
// few shards, and permutes the chunks of each window.
package sampler
