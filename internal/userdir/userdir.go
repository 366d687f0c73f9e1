// Package userdir finds the folders that a user has for files of programs, as the XDG
// base directory specification names them.
//
// It guarantees that none is in the root folder or below the HOME of an account without a
// home. Whether a folder can be written is another question: Writable tests it.
package userdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Kind is a kind of files.
type Kind struct{ variable, below string }

// The kinds.
var (
	Cache = Kind{"XDG_CACHE_HOME", ".cache"}      // may be lost
	Data  = Kind{"XDG_DATA_HOME", ".local/share"} // may not
)

// Find names the folder of this program for files of a kind, without making it.
func Find(k Kind) (string, error) {
	if dir := os.Getenv(k.variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gramme"), nil
	}
	switch home := os.Getenv("HOME"); {
	case home == "":
		return "", errors.New("HOME is not set")
	case !filepath.IsAbs(home), filepath.Clean(home) == "/":
		return "", fmt.Errorf("HOME is %s", home)
	default:
		return filepath.Join(home, k.below, "gramme"), nil
	}
}

// Writable makes a folder with some permissions, and a file in it.
func Writable(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".try-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
