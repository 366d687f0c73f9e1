package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Names of the files of a log.
const (
	entriesFile = "entries"
	headFile    = "head"
	keyFile     = "key"
)

// temporary is what the name of a file ends in until it replaces another.
const temporary = ".tmp"

// maxSmall bounds a head and a key.
const maxSmall = 64 << 10

// disk is what a log needs of a file system. It is an interface so that tests
// can lose what was not synced and stop between any two operations.
type disk interface {
	MkdirAll(dir string, perm fs.FileMode) error // durable, parents too
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(dir string) error
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Lock() error // until closed, against other processes
}

// system is the file system of the machine.
type system struct{}

type systemFile struct{ *os.File }

func (f systemFile) Lock() error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process writes this ledger")
	}
	return err
}

func (system) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(name string) error     { return os.Remove(name) }

func (system) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s system) MkdirAll(dir string, perm fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := s.MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.SyncDir(parent)
}

// readFile reads a head or a key.
func readFile(d disk, path string) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxSmall)
	}
	return b, errors.Join(err, f.Close())
}

// stageFile writes what is to replace a file beside it, durably.
func stageFile(d disk, path string, b []byte, perm fs.FileMode) error {
	f, err := d.OpenFile(path+temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = d.Remove(path + temporary) // it would only take up space
	}
	return err
}

// swapFile puts what stageFile wrote in the place of the file. After an error
// it is open which of the two stands there after a crash.
func swapFile(d disk, path string) error {
	if err := d.Rename(path+temporary, path); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// replaceFile replaces a file atomically and durably.
func replaceFile(d disk, path string, b []byte, perm fs.FileMode) error {
	if err := stageFile(d, path, b, perm); err != nil {
		return err
	}
	return swapFile(d, path)
}
