package shardcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/shard"
)

// ErrContent is wrapped by the error of a Fetch whose Source keeps sending bytes that
// do not match the manifest.
var ErrContent = errors.New("wrong content")

// MaxRange is the most bytes that a Source is asked for at once: those of one message
// of the run.
const MaxRange = 1 << 19

// DefaultMaxBytes is the size of a cache when Config.MaxBytes is 0.
const DefaultMaxBytes = 4 << 30

// Source reads up to length bytes of a file at an offset, at least one if the
// offset lies within it, and says how long the whole is. The name is for people;
// the SHA-256 (hexadecimal) names the content. It is called from several
// goroutines at a time.
type Source func(ctx context.Context, name, sha256 string, offset int64, length int) (data []byte, total int64, err error)

// Config of a Cache.
type Config struct {
	// Dir is made if it is not there. Processes may share it.
	Dir string
	// Source is the origin of the shards.
	Source Source
	// MaxBytes bounds the folder; 0 means 4 GiB. It should hold two windows of
	// shards, or each is fetched more than once an epoch.
	MaxBytes int64
}

// Cache is a shard.Fetcher. It is safe for concurrent use.
type Cache struct {
	cfg Config

	mu      sync.Mutex
	flights map[string]*flight // by SHA-256
}

// flight is a Fetch under way, which others may wait for.
type flight struct {
	bytes int64
	done  chan struct{}
	err   error // valid once done is closed
}

var _ shard.Fetcher = (*Cache)(nil)

// New opens a cache and keeps what its folder holds.
func New(cfg Config) (*Cache, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("shard cache %s: %d bytes, want more than 0", cfg.Dir, cfg.MaxBytes)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("shard cache %s: %w", cfg.Dir, vfs.WithoutPath(err))
	}
	return &Cache{cfg: cfg, flights: map[string]*flight{}}, nil
}

// Fetch returns the path of a shard's file, downloading it first if need be. It
// fails when the Source has failed three times, with ErrContent when it did not send the
// shard, or when ctx ends. Downloaded bytes stay for the next call.
func (c *Cache) Fetch(ctx context.Context, info shard.ShardInfo) (string, error) {
	path := filepath.Join(c.cfg.Dir, filepath.Base(info.SHA256)+suffix)
	fail := func(err error) (string, error) { return "", fmt.Errorf("fetch shard %s: %w", info.Name, err) }
	if info.Bytes > c.cfg.MaxBytes {
		return fail(fmt.Errorf("%d bytes do not fit into a cache of %d", info.Bytes, c.cfg.MaxBytes))
	}
	for {
		f, leads := c.join(info)
		if leads {
			err := c.provide(ctx, info, path)
			c.leave(info, f, err)
			if err != nil {
				return fail(err)
			}
			return path, nil
		}
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-f.done:
		}
		// The end of another call's context is not ours: take over from it.
		if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			if f.err != nil {
				return fail(f.err)
			}
			return path, nil
		}
	}
}

// join finds the flight for a shard, or begins it.
func (c *Cache) join(info shard.ShardInfo) (f *flight, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights[info.SHA256]; ok {
		return f, false
	}
	f = &flight{bytes: info.Bytes, done: make(chan struct{})}
	c.flights[info.SHA256] = f
	return f, true
}

func (c *Cache) leave(info shard.ShardInfo, f *flight, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.err = err
	delete(c.flights, info.SHA256)
	close(f.done)
}

// provide makes sure that the file is there, whole, and the newest by use.
func (c *Cache) provide(ctx context.Context, info shard.ShardInfo, path string) error {
	err := verifyShard(path, info)
	if errors.Is(err, ErrContent) {
		// It has decayed since it was downloaded.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return vfs.WithoutPath(err)
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.makeRoom(); err == nil {
			err = c.download(ctx, info, path)
		}
	}
	if err != nil {
		return vfs.WithoutPath(err)
	}
	// Another process may have dropped it at this moment; then opening it fails.
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return vfs.WithoutPath(err)
	}
	return nil
}
