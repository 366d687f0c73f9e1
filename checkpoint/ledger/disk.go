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

// readFile reads a head or a key.
func readFile(d vfs.FS, path string) ([]byte, error) {
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

// replaceFile replaces a file atomically and durably.
func replaceFile(d vfs.FS, path string, b []byte, perm fs.FileMode) error {
	if err := vfs.Stage(d, path+temporary, perm, vfs.Bytes(b)); err != nil {
		return err
	}
	return vfs.Commit(d, path+temporary, path)
}
