package ledger

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// memDisk is a disk in memory that knows what a loss of power would leave: the
// content of a file as of its last sync, and the names in a folder as of the
// folder's. Before each operation that changes something it asks hook, which may
// refuse; a write that is refused is half done.
type memDisk struct {
	mu      sync.Mutex
	names   map[string]*memContent
	durable map[string]*memContent
	hook    func(operation, name string) error
}

type memContent struct{ now, synced []byte }

type memHandle struct {
	d    *memDisk
	name string
	c    *memContent
}

func newMemDisk() *memDisk {
	return &memDisk{names: map[string]*memContent{}, durable: map[string]*memContent{}}
}

func (d *memDisk) before(operation, name string) error {
	if d.hook == nil {
		return nil
	}
	return d.hook(operation, name)
}

func (d *memDisk) MkdirAll(string, fs.FileMode) error { return nil } // folders are there

func (d *memDisk) OpenFile(name string, flag int, _ fs.FileMode) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.names[name]
	switch {
	case c == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case c == nil:
		if err := d.before("create", name); err != nil {
			return nil, err
		}
		c = &memContent{}
		d.names[name] = c
	case flag&os.O_TRUNC != 0:
		if err := d.before("truncate", name); err != nil {
			return nil, err
		}
		c.now = nil
	}
	return &memHandle{d, name, c}, nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.before("rename", to); err != nil {
		return err
	}
	if d.names[from] == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := d.before("remove", name); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *memDisk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.before("sync folder", dir); err != nil {
		return err
	}
	in := func(name string, _ *memContent) bool { return filepath.Dir(name) == dir }
	maps.DeleteFunc(d.durable, in)
	for name, c := range d.names {
		if in(name, c) {
			d.durable[name] = c
		}
	}
	return nil
}

func (h *memHandle) ReadAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if at >= int64(len(h.c.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.c.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.before("write", h.name)
	if err != nil {
		b = b[:len(b)/2]
	}
	now := slices.Clone(h.c.now)
	if need := int(at) + len(b); need > len(now) {
		now = append(now, make([]byte, need-len(now))...)
	}
	h.c.now = now
	return copy(now[at:], b), err
}

func (h *memHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.before("sync", h.name); err != nil {
		return err
	}
	h.c.synced = slices.Clone(h.c.now)
	return nil
}

func (h *memHandle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.before("truncate", h.name); err != nil {
		return err
	}
	h.c.now = append(slices.Clone(h.c.now), make([]byte, max(0, int(size)-len(h.c.now)))...)[:size]
	return nil
}

func (h *memHandle) Lock() error  { return nil }
func (h *memHandle) Close() error { return nil }

// lossOf says which of what was not synced is lost: called once for each name
// in a folder and for each block of a file.
type lossOf func() bool

func loseAll() bool  { return true }
func loseNone() bool { return false }

func loseSome(seed uint64) lossOf {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return r.IntN(2) == 0 }
}

// afterLoss returns what stands on the disk after a loss of power.
func (d *memDisk) afterLoss(lost lossOf) *memDisk {
	const block = 64
	left := newMemDisk()
	all := maps.Clone(d.names)
	maps.Copy(all, d.durable)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := d.names[name]
		if lost() {
			c = d.durable[name]
		}
		if c == nil {
			continue
		}
		size := len(c.now)
		if lost() {
			size = len(c.synced)
		}
		data := make([]byte, size)
		for at := 0; at < size; at += block {
			from := c.now
			if lost() {
				from = c.synced
			}
			if at < len(from) {
				copy(data[at:min(at+block, size)], from[at:])
			}
		}
		content := &memContent{data, slices.Clone(data)}
		left.names[name], left.durable[name] = content, content
	}
	return left
}

// clone returns a disk with the same files.
func (d *memDisk) clone() *memDisk { return d.afterLoss(loseNone) }

func (d *memDisk) read(name string) []byte {
	if c := d.names[name]; c != nil {
		return slices.Clone(c.now)
	}
	return nil
}

func (d *memDisk) write(name string, b []byte) {
	d.names[name] = &memContent{slices.Clone(b), slices.Clone(b)}
}

var errPowerLost = errors.New("power lost")
