package memfs

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// OpenFile opens a file or a folder.
func (m *FS) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	fail := func(err error) (vfs.File, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: err} }
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	m.mu.Lock()
	_, _, n, err := m.find(path, true)
	m.mu.Unlock()
	switch {
	case err != nil:
		return fail(err)
	case n == nil && flag&os.O_CREATE == 0:
		return fail(syscall.ENOENT)
	case n != nil && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return fail(syscall.EEXIST)
	case n != nil && n.names != nil && writes:
		return fail(syscall.EISDIR)
	case n == nil:
		err = m.before(Op{Kind: "create", Path: path})
	case flag&os.O_TRUNC != 0:
		err = m.before(Op{Kind: "truncate", Path: path})
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.find(path, true)
	switch {
	case err != nil:
		return fail(err)
	case n == nil:
		n = &node{mode: perm, modified: time.Now()}
		dir.change(change{name: name, node: n})
	case flag&os.O_TRUNC != 0:
		n.content, n.modified = nil, time.Now()
	}
	return &file{fsys: m, path: path, node: n, writes: writes}, nil
}

// file is an open file. Its fields are guarded by the lock of the file system.
type file struct {
	fsys   *FS
	path   string
	node   *node
	writes bool
	at     int64
	held   bool // Lock
	shared bool // RLock
	closed bool
}

func (f *file) fail(op string, err error) error { return &fs.PathError{Op: op, Path: f.path, Err: err} }

func (f *file) Stat() (fs.FileInfo, error) {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	return f.node.info(filepath.Base(f.path)), nil
}

func (f *file) Read(b []byte) (int, error) {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	n, err := f.read(b, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	return f.read(b, at)
}

func (f *file) read(b []byte, at int64) (int, error) {
	switch {
	case f.closed:
		return 0, f.fail("read", fs.ErrClosed)
	case f.node.names != nil:
		return 0, f.fail("read", syscall.EISDIR)
	case at >= int64(len(f.node.content)):
		return 0, io.EOF
	}
	n := copy(b, f.node.content[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(b []byte) (int, error) { return f.write(b, -1) }

func (f *file) WriteAt(b []byte, at int64) (int, error) { return f.write(b, at) }

// write writes at an offset, or where the last write ended.
func (f *file) write(b []byte, at int64) (int, error) {
	failed := f.fsys.before(Op{Kind: "write", Path: f.path, Bytes: len(b)})
	if failed != nil {
		b = b[:len(b)/2]
	}
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	switch {
	case f.closed:
		return 0, f.fail("write", fs.ErrClosed)
	case !f.writes:
		return 0, f.fail("write", syscall.EBADF)
	}
	if at < 0 {
		at = f.at
		f.at += int64(len(b))
	}
	f.node.resize(max(int64(len(f.node.content)), at+int64(len(b))), at)
	return copy(f.node.content[at:], b), failed
}

// resize makes the content one of so many bytes, which may be changed from an offset
// on. The bytes that were synced stay: only what is added may share their array.
func (n *node) resize(size, from int64) {
	if min(from, int64(len(n.content))) < int64(len(n.synced)) {
		n.content = bytes.Clone(n.content)
	}
	if more := size - int64(len(n.content)); more > 0 {
		n.content = append(n.content, make([]byte, more)...)
	}
	n.content, n.modified = n.content[:size], time.Now()
}

func (f *file) Truncate(size int64) error {
	if err := f.fsys.before(Op{Kind: "truncate", Path: f.path}); err != nil {
		return err
	}
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	if f.closed || !f.writes || size < 0 {
		return f.fail("truncate", syscall.EINVAL)
	}
	f.node.resize(size, size)
	return nil
}

func (f *file) Sync() error {
	kind := "sync"
	if f.node.names != nil {
		kind = "sync folder"
	}
	if err := f.fsys.before(Op{Kind: kind, Path: f.path}); err != nil {
		return err
	}
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	switch {
	case f.closed:
		return f.fail("sync", fs.ErrClosed)
	case f.node.names != nil:
		f.node.durable, f.node.pending = maps.Clone(f.node.names), nil
	default:
		f.node.synced = slices.Clip(f.node.content)
	}
	return nil
}

func (f *file) Lock() error {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	if f.node.locked && !f.held || f.node.readers > 0 && !(f.shared && f.node.readers == 1) {
		return vfs.ErrLocked
	}
	f.unlock()
	f.held, f.node.locked = true, true
	return nil
}

func (f *file) RLock() error {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	if f.node.locked && !f.held {
		return vfs.ErrLocked
	}
	f.unlock()
	f.shared = true
	f.node.readers++
	return nil
}

func (f *file) unlock() {
	if f.held {
		f.held, f.node.locked = false, false
	}
	if f.shared {
		f.shared = false
		f.node.readers--
	}
}

func (f *file) Close() error {
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	if f.closed {
		return f.fail("close", fs.ErrClosed)
	}
	f.unlock()
	f.closed = true
	return nil
}
