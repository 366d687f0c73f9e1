package vfstest

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// ErrPower is what every change fails with after a loss of power.
var ErrPower = errors.New("no power")

// Mirror makes each change below a folder in memory, where it can be lost, and in the
// file system of the machine, from which others read it. What is elsewhere is on the
// machine alone. The machine's files are not synced.
type Mirror struct {
	*memfs.FS
	dir string

	mu  *sync.Mutex // a change is made in both, or lost in both
	off *bool
}

// NewMirror begins with a folder that is empty, but for what others read.
func NewMirror(dir string) (Mirror, error) {
	m := memfs.New()
	return Mirror{FS: m, dir: dir, mu: &sync.Mutex{}, off: new(bool)}, vfs.MkdirAll(m, dir, 0o755)
}

// Crash cuts the power: every later change fails. It returns what the next process finds,
// of which the machine has some folders, by their paths, as memory has them.
func (m Mirror) Crash(keep memfs.Keep, folders ...string) (Mirror, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*m.off = true
	after := Mirror{FS: m.FS.Crash(keep), dir: m.dir, mu: &sync.Mutex{}, off: new(bool)}
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			return after, err
		}
		if err := Copy(unsynced{}, folder, after.FS, folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return after, err
		}
	}
	return after, nil
}

// unsynced is the file system of the machine for what may be lost with it.
type unsynced struct{ vfs.OS }

func (unsynced) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := vfs.OS{}.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error { return nil }

// both makes a change in memory and, if that works, on the machine.
func (m Mirror) both(path string, memory, machine func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *m.off {
		return ErrPower
	}
	if strings.HasPrefix(path, m.dir) {
		if err := memory(); err != nil {
			return err
		}
	}
	return machine()
}

// OpenFile implements vfs.FS.
func (m Mirror) OpenFile(path string, flag int, perm fs.FileMode) (f vfs.File, err error) {
	var kept, real vfs.File
	err = m.both(path, func() (err error) {
		kept, err = m.FS.OpenFile(path, flag, perm)
		return err
	}, func() (err error) {
		real, err = unsynced{}.OpenFile(path, flag, perm)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case kept == nil:
		return real, nil
	}
	return mirroredFile{kept, real, m}, nil
}

// mirroredFile is read in memory.
type mirroredFile struct {
	vfs.File
	real vfs.File
	m    Mirror
}

func (f mirroredFile) Write(b []byte) (n int, err error) {
	err = f.m.both(f.m.dir, func() error { n, err = f.File.Write(b); return err }, func() error { _, err := f.real.Write(b); return err })
	return n, err
}

func (f mirroredFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.m.both(f.m.dir, func() error { n, err = f.File.WriteAt(b, at); return err }, func() error { _, err := f.real.WriteAt(b, at); return err })
	return n, err
}

func (f mirroredFile) Truncate(size int64) error {
	return f.m.both(f.m.dir, func() error { return f.File.Truncate(size) }, func() error { return f.real.Truncate(size) })
}

func (f mirroredFile) Sync() error {
	return f.m.both(f.m.dir, f.File.Sync, func() error { return nil })
}

func (f mirroredFile) Close() error { return errors.Join(f.File.Close(), f.real.Close()) }

// Mkdir implements vfs.FS.
func (m Mirror) Mkdir(path string, perm fs.FileMode) error {
	return m.both(path, func() error { return m.FS.Mkdir(path, perm) }, func() error { return os.Mkdir(path, perm) })
}

// Rename implements vfs.FS.
func (m Mirror) Rename(from, to string) error {
	return m.both(to, func() error { return m.FS.Rename(from, to) }, func() error { return os.Rename(from, to) })
}

// Symlink implements vfs.FS.
func (m Mirror) Symlink(target, path string) error {
	return m.both(path, func() error { return m.FS.Symlink(target, path) }, func() error { return os.Symlink(target, path) })
}

// Remove implements vfs.FS.
func (m Mirror) Remove(path string) error {
	return m.both(path, func() error { return m.FS.Remove(path) }, func() error { return os.Remove(path) })
}

// Stat implements vfs.FS.
func (m Mirror) Stat(path string) (fs.FileInfo, error) {
	if !strings.HasPrefix(path, m.dir) {
		return os.Stat(path)
	}
	return m.FS.Stat(path)
}
