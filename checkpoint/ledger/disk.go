package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Names of the files of a log.
const (
	entriesFile = "entries"
	headFile    = "head"
	keyFile     = "key"
)

// temporary is the suffix of a file that is to replace another. Only one process writes a
// log, so a fixed suffix lets the next one find a file that a crash left.
const temporary = ".tmp"

// maxSmallFile bounds a head and a key.
const maxSmallFile = 64 << 10

type (
	disk   = vfs.FS
	file   = vfs.File
	system = vfs.OS
)

// readFile reads a head or a key.
func readFile(d disk, path string) ([]byte, error) {
	f, err := vfs.Open(d, path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(b) > maxSmallFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxSmallFile)
	}
	return b, errors.Join(err, f.Close())
}

// stageFile writes the replacement of a file beside it, durably.
func stageFile(d disk, path string, b []byte, perm fs.FileMode) error {
	return vfs.Stage(d, path+temporary, perm, vfs.Bytes(b))
}

// swapFile replaces the file by what stageFile wrote. After an error either of the two may
// be there after a crash.
func swapFile(d disk, path string) error { return vfs.Commit(d, path+temporary, path) }

// replaceFile replaces a file atomically and durably.
func replaceFile(d disk, path string, b []byte, perm fs.FileMode) error {
	if err := stageFile(d, path, b, perm); err != nil {
		return err
	}
	return swapFile(d, path)
}

// makeFolder makes a folder and its parents, durably.
func makeFolder(d disk, path string, perm fs.FileMode) error { return vfs.MkdirAll(d, path, perm) }

func syncFolder(d disk, path string) error { return vfs.SyncDir(d, path) }
