package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// InputsDigest tells text files and folders from others by the names, sizes and times
// of their files, without reading them. The folder except does not count, where it is
// inside of one.
func InputsDigest(paths []string, except string) (string, error) {
	h := sha256.New()
	except, err := filepath.Abs(except)
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		root, err := filepath.EvalSymlinks(path)
		if err == nil {
			root, err = filepath.Abs(root)
		}
		if err != nil {
			return "", err
		}
		err = filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
			if err == nil && at == except {
				return fs.SkipDir
			}
			if err != nil || e.IsDir() {
				return err
			}
			info, err := os.Stat(at)
			if errors.Is(err, fs.ErrNotExist) { // a link to nothing, which no reader follows either
				return nil
			}
			if err == nil {
				fmt.Fprintf(h, "%q %d %d\n", at, info.Size(), info.ModTime().UnixNano())
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
