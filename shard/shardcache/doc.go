// Package shardcache brings shards to a machine that does not hold the prepared
// corpus: a cache of bounded size in a folder, filled in ranges from a Source.
//
// It guarantees:
//   - a path that Fetch returns named, at that moment, a whole file of the
//     SHA-256 that was asked for; a file that has decayed is fetched again;
//   - an interrupted download resumes where it stopped, in the next process too;
//   - a shard is downloaded once, however many goroutines ask for it, and
//     however many processes share the folder;
//   - the folder holds no more than Config.MaxBytes and the shards being fetched.
//
// It does not keep a shard for its caller: a later Fetch may drop it, so open it
// at once (shard.Loader does, and asks again if it came too late). It does not
// know where shards come from: the Source does.
package shardcache
