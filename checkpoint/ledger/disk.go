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

// temporary is what the name of a file ends in until it replaces another. One process
// writes a log, so that the next one finds what is left of it.
const temporary = ".tmp"

// maxSmall bounds a head and a key.
const maxSmall = 64 << 10

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
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxSmall)
	}
	return b, errors.Join(err, f.Close())
}

// stageFile writes what is to replace a file beside it, durably.
func stageFile(d disk, path string, b []byte, perm fs.FileMode) error {
	return vfs.Stage(d, path+temporary, perm, vfs.Bytes(b))
}

// swapFile puts what stageFile wrote in the place of the file. After an error it is
// open which of the two stands there after a crash.
func swapFile(d disk, path string) error { return vfs.Commit(d, path+temporary, path) }

// replaceFile replaces a file atomically and durably.
func replaceFile(d disk, path string, b []byte, perm fs.FileMode) error {
	if err := stageFile(d, path, b, perm); err != nil {
		return err
	}
	return swapFile(d, path)
}

// makeFolder makes a folder and those above it, durably.
func makeFolder(d disk, path string, perm fs.FileMode) error { return vfs.MkdirAll(d, path, perm) }

func syncFolder(d disk, path string) error { return vfs.SyncDir(d, path) }
