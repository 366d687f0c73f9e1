package shard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// loadAttempts is how often a shard is fetched that is gone when it is opened.
const loadAttempts = 3

// Loader returns the load function that sampler.New wants: it fetches shard i of
// a split and opens it, verified against the manifest. A bounded cache may drop
// a shard between the two; it is then fetched again.
func Loader(ctx context.Context, f Fetcher, s Split) func(i int) (*Shard, error) {
	return func(i int) (*Shard, error) {
		if i < 0 || i >= len(s.Shards) {
			return nil, fmt.Errorf("load shard %d of %d: no such shard", i, len(s.Shards))
		}
		info := s.Shards[i]
		for attempt := 1; ; attempt++ {
			path, err := f.Fetch(ctx, info)
			if err != nil {
				return nil, err
			}
			opened, err := OpenShard(path, info.SHA256)
			if errors.Is(err, fs.ErrNotExist) && attempt < loadAttempts {
				continue
			}
			return opened, err
		}
	}
}
