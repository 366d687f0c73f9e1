// Package cachedir finds the user's folder for files that may be lost: fetched shards,
// choices, readings of a worker without the run's folder.
//
// It guarantees that nothing is made in the root folder or below the HOME of an account
// without a home, and that a folder which it returns can be written.
package cachedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/userdir"
)

// Hint is the hint for a user whose folders cannot be written.
const Hint = "set XDG_CACHE_HOME to a folder that may be written"

// ErrNone says that this user has no folder for a cache.
var ErrNone = errors.New("no folder for a cache")

// Find names the folder that this user's caches are in, without making it.
func Find() (string, error) {
	dir, err := userdir.Find(userdir.Cache)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	return dir, nil
}

// Make makes a folder of this user's cache, and reports whether it can be written.
func Make(names ...string) (string, error) {
	root, err := Find()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{root}, names...)...)
	if err := userdir.Writable(dir, 0o755); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	return dir, nil
}

// MakeOrTemporary falls back to a folder for temporary files, which belongs to this
// user alone.
func MakeOrTemporary(names ...string) (string, error) {
	dir, err := Make(names...)
	if err == nil {
		return dir, nil
	}
	errs := []error{err}
	for _, place := range []string{os.TempDir(), "/var/tmp", "/tmp", "/dev/shm"} {
		root := filepath.Join(place, fmt.Sprintf("gramme-cache-%d", os.Getuid()))
		err := private(root)
		if err == nil {
			dir = filepath.Join(append([]string{root}, names...)...)
			err = userdir.Writable(dir, 0o755)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", failures.Of(errs...)
}

// private makes a folder, or takes one that nobody else can have put there: others
// may write to the folder that it is in.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !mine(info) || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s belongs to another user", dir)
	}
	return nil
}
