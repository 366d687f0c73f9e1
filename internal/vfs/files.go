package vfs

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Open opens a file or a folder for reading.
func Open(fsys FS, name string) (File, error) { return fsys.OpenFile(name, os.O_RDONLY, 0) }

// Create opens an empty file for writing, in place of what it held.
func Create(fsys FS, name string) (File, error) {
	return fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
}

// ReadFile returns what a file holds.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := Open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteFile replaces a file, atomically and durably. Several processes may do it at a
// time.
func WriteFile(fsys FS, name string, content []byte, perm fs.FileMode) error {
	return Write(fsys, name, perm, Bytes(content))
}

// Bytes is content that is at hand.
func Bytes(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// Write is WriteFile for content that comes piece by piece; it is not buffered. After
// an error the file is as it was; if only the last sync failed, it is open which of the
// two is there after a loss of power.
func Write(fsys FS, name string, perm fs.FileMode, content func(io.Writer) error) error {
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:10])
	err := Stage(fsys, temp, perm, content)
	if err == nil {
		if err = Commit(fsys, temp, name); err != nil {
			_ = fsys.Remove(temp) // it would only take up space
		}
	}
	if err != nil {
		if at := (*fs.PathError)(nil); errors.As(err, &at) && at.Path == temp {
			err = at.Err
		}
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// Stage writes a file whose content is durable when it returns; its name is once the
// folder is synced. After an error there is no such file.
func Stage(fsys FS, temp string, perm fs.FileMode, content func(io.Writer) error) error {
	f, err := fsys.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if err = content(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = fsys.Remove(temp) // it would only take up space
	}
	return err
}

// Commit puts a staged file in the place of another, durably. After an error it is open which
// of the two stands there after a loss of power.
func Commit(fsys FS, temp, name string) error {
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return SyncDir(fsys, filepath.Dir(name))
}

// SyncDir makes durable which names a folder has.
func SyncDir(fsys FS, dir string) error {
	d, err := Open(fsys, dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MkdirAll makes a folder and those above it, durably.
func MkdirAll(fsys FS, dir string, perm fs.FileMode) error {
	if info, err := fsys.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(dir, perm); err != nil {
		if info, e := fsys.Stat(dir); e != nil || !info.IsDir() { // another process did
			return err
		}
	}
	return SyncDir(fsys, parent)
}

// RemoveAll removes a file, or a folder and what is in it. What is not there is no
// error. It syncs nothing.
func RemoveAll(fsys FS, name string) error {
	info, err := fsys.Lstat(name)
	if err == nil && info.IsDir() {
		var entries []fs.DirEntry
		entries, err = fsys.ReadDir(name)
		for _, e := range entries {
			if err := RemoveAll(fsys, filepath.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	if err == nil {
		err = fsys.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lockPause is the time between two tries to take a lock.
const lockPause = 20 * time.Millisecond

// Lock opens a file or folder and locks it until it is closed. It tries for a while: a
// process that was killed a moment ago may still hold it.
func Lock(fsys FS, name string, within time.Duration) (File, error) {
	for end := time.Now().Add(within); ; time.Sleep(lockPause) {
		f, err := Open(fsys, name)
		if err != nil {
			return nil, err
		}
		if err = f.Lock(); err == nil {
			return f, nil
		}
		err = errors.Join(err, f.Close())
		if !errors.Is(err, ErrLocked) || !time.Now().Before(end) {
			return nil, err
		}
	}
}

// WithoutPath drops the path from an error of a file system, for messages that name
// the file already.
func WithoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
