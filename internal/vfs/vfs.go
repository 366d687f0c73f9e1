// Package vfs is the file system as Gramme writes to it: one interface, the real
// implementation (OS), and the operations that must be right for files to survive a loss
// of power.
//
// WriteFile guarantees that a path holds either the old or all of the new content, at
// every moment and after a loss of power. MkdirAll guarantees that the
// folders it made are there after one. A lock guarantees that one open file at a time
// holds it; it ends with the process. Package memfs is a file system in memory that
// loses what was not synced and fails on demand; both pass package vfstest.
//
// Code that reads files which no process writes needs none of it, and uses package os.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// ErrLocked says that a lock is held by another open file, mostly of another process.
var ErrLocked = errors.New("another process holds it")

// FS is a file system. Its methods do what the functions of package os do under the
// same names.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rename makes a name refer to another file. The folders still have to be synced.
	Rename(from, to string) error
	Remove(name string) error
	Symlink(target, name string) error
	Readlink(name string) (string, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Chtimes(name string, accessed, modified time.Time) error
}

// File is an open file or folder.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	// Sync makes durable what a file holds, and of a folder which names it has.
	Sync() error
	// Lock holds the file until it is closed; ErrLocked if another open file does. It
	// does not wait.
	Lock() error
	// RLock holds the file together with others that do it by RLock.
	RLock() error
}
