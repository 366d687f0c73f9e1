//go:build unix

package cachedir

import (
	"io/fs"
	"os"
	"syscall"
)

// mine reports whether this user owns a file.
func mine(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
