// Package shard is the prepared corpus of a run: a manifest, a vocabulary and
// files of token chunks, and the preparation that makes them from text.
//
// It guarantees:
//   - the same inputs and options give the same bytes in every file, whatever
//     the number of cores;
//   - every token of a split stands in exactly one chunk, and a chunk holds
//     consecutive tokens of one document;
//   - memory stays bounded whatever the size of the corpus;
//   - a prepared folder is complete or absent: the manifest is written last, by
//     an atomic rename, after every file that it names has reached the disk;
//   - a shard that opens without error is byte for byte the one that was
//     written, and no content of a file makes the reader panic.
//
// It does not shuffle and does not mask: package sampler draws order, pairs and
// masks at read time. It does not fetch shards from elsewhere: a Fetcher does.
package shard
