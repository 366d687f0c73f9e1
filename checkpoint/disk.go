package checkpoint

import (
	"errors"
	"io"
	"os"
)

// disk is what a store changes a file system by. It is an interface so that tests
// can stop between any two operations and lose what was not synced.
type disk interface {
	mkdirAll(dir string) error
	create(path string) (file, error)
	rename(from, to string) error
	symlink(target, path string) error
	removeAll(path string) error
	syncDir(dir string) error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// system is the file system of the machine.
type system struct{}

func (system) mkdirAll(dir string) error         { return os.MkdirAll(dir, 0o755) }
func (system) create(path string) (file, error)  { return os.Create(path) }
func (system) rename(from, to string) error      { return os.Rename(from, to) }
func (system) symlink(target, path string) error { return os.Symlink(target, path) }
func (system) removeAll(path string) error       { return os.RemoveAll(path) }
func (system) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
