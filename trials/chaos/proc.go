package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// mark is the variable in the environment by which the processes of a run are
// known, also those whose parent is gone.
const mark = "GRAMME_CHAOS"

// marked lists the processes that bear a mark.
func marked(token string) []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is fine
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !slices.ContainsFunc(bytes.Split(b, []byte{0}), func(pair []byte) bool { return string(pair) == mark+"="+token }) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// signal sends a signal; a process that is gone already is no error.
func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %d: %w", pid, err)
	}
	return nil
}

// outlasting waits until no process bears a mark, and returns those that still do after
// a while.
func outlasting(token string, within time.Duration) (left []int) {
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if left = marked(token); len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// killMarked ends every process of a mark at once, and waits until they are gone.
func killMarked(token string, within time.Duration) error {
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		left := marked(token)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v do not end", left)
		}
		for _, pid := range left {
			if err := signal(pid, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
}
