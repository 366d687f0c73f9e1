package shardcache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// entry is a file of the cache.
type entry struct {
	name  string
	bytes int64
	used  time.Time
}

// makeRoom drops the shards and unfinished downloads that were used longest ago
// until the rest and all flights fit. It never drops the file of a flight.
func (c *Cache) makeRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := c.entries()
	if err != nil {
		return err
	}
	var total int64
	for _, f := range c.flights {
		total += f.bytes
	}
	for _, e := range entries {
		total += e.bytes
	}
	for _, e := range entries {
		if total <= c.cfg.MaxBytes {
			break
		}
		dropped, err := drop(filepath.Join(c.cfg.Dir, e.name))
		if err != nil {
			return err
		}
		if dropped {
			total -= e.bytes
		}
	}
	return nil
}

// entries lists the files that no flight is about, the longest unused first.
func (c *Cache) entries() ([]entry, error) {
	files, err := os.ReadDir(c.cfg.Dir)
	if err != nil {
		return nil, vfs.WithoutPath(err)
	}
	var out []entry
	for _, f := range files {
		sum, ok := strings.CutSuffix(strings.TrimSuffix(f.Name(), partSuffix), suffix)
		if _, busy := c.flights[sum]; !ok || busy || !f.Type().IsRegular() {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped by another process
		}
		if err != nil {
			return nil, vfs.WithoutPath(err)
		}
		out = append(out, entry{f.Name(), info.Size(), info.ModTime()})
	}
	slices.SortFunc(out, func(a, b entry) int {
		if n := a.used.Compare(b.used); n != 0 {
			return n
		}
		return strings.Compare(a.name, b.name)
	})
	return out, nil
}

// drop removes a file, unless it is a download that another process holds.
func drop(path string) (bool, error) {
	if strings.HasSuffix(path, partSuffix) {
		f, err := vfs.Lock(vfs.OS{}, path, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if errors.Is(err, vfs.ErrLocked) {
			return false, nil
		}
		if err != nil {
			return false, vfs.WithoutPath(err)
		}
		defer f.Close()
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, vfs.WithoutPath(err)
	}
	return true, nil
}
