package shard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// ErrUnavailable is wrapped by the error of a Fetcher whose source does not answer, and
// may in a moment.
var ErrUnavailable = errors.New("the source does not answer")

// Fetcher brings a shard to this machine and returns its path. The caller verifies the
// shard when it opens it.
type Fetcher interface {
	Fetch(ctx context.Context, info ShardInfo) (path string, err error)
}

// Dir is the Fetcher of a prepared folder on this machine.
type Dir string

// Fetch returns the shard's path in the folder.
func (d Dir) Fetch(_ context.Context, info ShardInfo) (string, error) {
	path := filepath.Join(string(d), filepath.Base(info.Name))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("fetch shard %s: %w", info.Name, err)
	}
	return path, nil
}
