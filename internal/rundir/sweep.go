package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/failures"
)

// sweepAfter is the age from which a folder for sockets is looked at: a younger one may
// be about to get its sockets.
const sweepAfter = 10 * time.Minute

// SweepSockets removes folders for sockets that killed processes of this user left among
// the temporary files, of any run. A folder stays as long as a process listens in it.
func SweepSockets(now time.Time) error {
	var errs []error
	for _, place := range temporary() {
		errs = append(errs, sweep(place, now))
	}
	return failures.Of(errs...)
}

func sweep(place string, now time.Time) error {
	var errs []error
	for _, pattern := range []string{fmt.Sprintf("gramme-%d-????????????", os.Getuid()), "gramme-cut-*"} {
		found, err := filepath.Glob(filepath.Join(place, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			info, err := os.Lstat(path)
			if err != nil || !info.IsDir() || !own(info) || now.Sub(info.ModTime()) < sweepAfter || listens(path) {
				continue
			}
			if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrPermission) {
				errs = append(errs, fmt.Errorf("remove the files of a killed process: %w", err))
			}
		}
	}
	return failures.Of(errs...)
}

func own(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}

// listens reports whether a process accepts connections at a socket of a folder. If that
// cannot be found out, it reports true.
func listens(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSocket == 0 {
			continue
		}
		conn, err := net.DialTimeout("unix", filepath.Join(dir, e.Name()), time.Second)
		if err == nil {
			_ = conn.Close() // it was only tried
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
	}
	return false
}
