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
// of their files, without reading them. The folder except does not count where it is
// inside of one, under whatever name.
func InputsDigest(paths []string, except string) (string, error) {
	h := sha256.New()
	skip, noSkip := os.Stat(except) // what is not there is not inside either
	for _, path := range paths {
		root, err := filepath.EvalSymlinks(path)
		if err == nil {
			root, err = filepath.Abs(root)
		}
		if err != nil {
			return "", err
		}
		err = filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(at)
			switch {
			case errors.Is(err, fs.ErrNotExist): // a link to nothing, which no reader follows either
				return nil
			case err != nil:
				return err
			case noSkip == nil && os.SameFile(info, skip):
				if e.IsDir() {
					return fs.SkipDir
				}
			case !e.IsDir():
				fmt.Fprintf(h, "%q %d %d\n", at, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
