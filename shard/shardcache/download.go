package shardcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard"
)

const (
	suffix     = ".shard"
	partSuffix = ".part" // after suffix: a download under way

	attempts = 3
	// lockPause is the time between looks at a download of another process.
	lockPause = 50 * time.Millisecond
)

// backoff is that of attempts after an error of the Source.
var backoff = waiting.Backoff{First: 200 * time.Millisecond, Longest: time.Second}

// download fills the part file and gives it its name.
func (c *Cache) download(ctx context.Context, info shard.ShardInfo, path string) error {
	f, err := lockPart(ctx, path)
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	for attempt := 1; ; attempt++ {
		var failed sourceError
		err := c.fill(ctx, f, info)
		if err == nil {
			err = verifyShard(path+partSuffix, info)
		}
		switch {
		case err == nil:
			return finish(f, path)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrContent):
			if e := f.Truncate(0); e != nil {
				return vfs.WithoutPath(e)
			}
		case !errors.As(err, &failed):
			return err
		}
		if attempt == attempts {
			return fmt.Errorf("given up after %s: %w", words.Several(attempts, "attempt"), err)
		}
		if errors.As(err, &failed) {
			if err := waiting.Rest(ctx, backoff.After(attempt)); err != nil {
				return err
			}
		}
	}
}

// sourceError is a failure of the Source, which may pass.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// fill downloads the bytes that the part file lacks.
func (c *Cache) fill(ctx context.Context, f vfs.File, info shard.ShardInfo) error {
	stat, err := f.Stat()
	if err != nil {
		return vfs.WithoutPath(err)
	}
	at := stat.Size()
	if at > info.Bytes {
		return fmt.Errorf("%w: %d bytes of %d", ErrContent, at, info.Bytes)
	}
	for at < info.Bytes {
		data, err := c.next(ctx, info, at)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(data, at); err != nil {
			return vfs.WithoutPath(err)
		}
		at += int64(len(data))
	}
	return nil
}

// next asks the Source for the bytes at an offset.
func (c *Cache) next(ctx context.Context, info shard.ShardInfo, at int64) ([]byte, error) {
	length := int(min(MaxRange, info.Bytes-at))
	data, total, err := c.cfg.Source(ctx, info.Name, info.SHA256, at, length)
	if err != nil {
		return nil, sourceError{err}
	}
	return data, checkRange(len(data), length, total, info.Bytes)
}

// checkRange refuses an answer that is no range of a file of want bytes.
func checkRange(got, length int, total, want int64) error {
	switch {
	case total != want:
		return fmt.Errorf("%w: the source has %d bytes, the manifest says %d", ErrContent, total, want)
	case got == 0 || got > length:
		return fmt.Errorf("%w: the source sent %d bytes of the %d asked for", ErrContent, got, length)
	}
	return nil
}

// verifyShard compares a file with the manifest.
func verifyShard(path string, info shard.ShardInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return vfs.WithoutPath(err)
	}
	if n != info.Bytes {
		return fmt.Errorf("%w: %d bytes, the manifest says %d", ErrContent, n, info.Bytes)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != info.SHA256 {
		return fmt.Errorf("%w: SHA-256 %s, the manifest says %s", ErrContent, sum, info.SHA256)
	}
	return nil
}

// finish makes the download durable and gives it its name.
func finish(f vfs.File, path string) error {
	if err := f.Sync(); err != nil {
		return vfs.WithoutPath(err)
	}
	return vfs.Commit(vfs.OS{}, path+partSuffix, path)
}

// lockPart opens the part file of a path for this process alone. It waits for
// another process that downloads the same shard, and returns nil when that one
// has finished it.
func lockPart(ctx context.Context, path string) (vfs.File, error) {
	for {
		f, err := vfs.OS{}.OpenFile(path+partSuffix, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, vfs.WithoutPath(err)
		}
		err = f.Lock()
		if err == nil && vfs.Named(f, path+partSuffix) {
			if _, err := os.Stat(path); err == nil {
				// It was finished before our part file was made.
				_ = os.Remove(path + partSuffix) // or another process did
				_ = f.Close()                    // nothing was written to it
				return nil, nil
			}
			return f, nil
		}
		_ = f.Close() // nothing was written to it
		if err != nil && !errors.Is(err, vfs.ErrLocked) {
			return nil, fmt.Errorf("lock download: %w", err)
		}
		if err := waiting.Rest(ctx, lockPause); err != nil {
			return nil, err
		}
	}
}
