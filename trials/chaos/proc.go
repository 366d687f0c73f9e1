package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// size is how much a process holds.
type size struct {
	rss        float64 // MiB
	threads    float64
	files      float64 // that are open, sockets included
	goroutines float64 // as the process says
}

func sizeOf(pid int) (size, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return size{}, fmt.Errorf("size of process %d: %w", pid, err)
	}
	s, err := parseSize(string(b))
	if err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return size{}, fmt.Errorf("open files of process %d: %w", pid, err)
	}
	s.files = float64(len(files))
	return s, nil
}

// parseSize reads /proc/PID/status.
func parseSize(text string) (s size, err error) {
	var rss, threads bool
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "VmRSS":
			s.rss, err = strconv.ParseFloat(fields[0], 64)
			s.rss /= 1024
			rss = true
		case "Threads":
			s.threads, err = strconv.ParseFloat(fields[0], 64)
			threads = true
		}
		if err != nil {
			return s, fmt.Errorf("size of a process: %s %q: %w", key, fields[0], err)
		}
	}
	if !rss || !threads { // it has ended, and nobody has waited for it
		return s, errors.New("size of a process: it has none")
	}
	return s, nil
}
