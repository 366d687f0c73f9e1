package vfstest

import (
	"io/fs"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Copy copies a folder with all that is in it to another file system.
func Copy(to vfs.FS, target string, from vfs.FS, dir string) error {
	if err := vfs.MkdirAll(to, target, 0o755); err != nil {
		return err
	}
	entries, err := from.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		a, b := filepath.Join(dir, e.Name()), filepath.Join(target, e.Name())
		var content []byte
		switch e.Type() {
		case fs.ModeDir:
			err = Copy(to, b, from, a)
		case fs.ModeSymlink:
			var link string
			if link, err = from.Readlink(a); err == nil {
				err = to.Symlink(link, b)
			}
		default:
			if content, err = vfs.ReadFile(from, a); err == nil {
				err = write(to, b, content)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write does not wait for the disk.
func write(fsys vfs.FS, path string, content []byte) error {
	f, err := vfs.Create(fsys, path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
