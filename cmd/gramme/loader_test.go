package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/exit"
)

func TestStartFailure(t *testing.T) {
	shell := func(script string) error { return exec.Command("sh", "-c", script).Run() }
	for _, c := range []struct {
		name, printed string
		err           error
		says, hint    string
	}{
		{"not executable", "", &os.PathError{Op: "fork/exec", Path: "w", Err: syscall.EACCES}, "w does not start: user ", "noexec"},
		{"no loader", "", &os.PathError{Op: "fork/exec", Path: "w", Err: syscall.ENOENT}, "w does not start: this system has no loader", "glibc"},
		{"no addresses", "w: error while loading shared libraries: libtorch_cpu.so: failed to map segment from shared object", shell("exit 127"), "failed to map segment", "ulimit -v"},
		{"no thread", "runtime: failed to create new OS thread (have 2 already; errno=11)\nfatal error: newosproc", shell("exit 2"), "it cannot start a thread", "pids.max"},
		{"killed", "", shell("kill -9 $$"), "it was killed", "memory"},
		{"crashed", "", shell("kill -11 $$"), "it crashed: segmentation fault", "ulimit -a"},
		{"an old processor", "", shell("kill -4 $$"), "lacks one of its instructions", "scripts/setup"},
		{"a library of the system", "w: error while loading shared libraries: libgomp.so.1: cannot open shared object file: No such file or directory", shell("exit 127"), "does not start: libgomp.so.1: cannot open", "scripts/setup"},
		{"too slow", "", fmt.Errorf("no answer within 1m0s: %w", context.DeadlineExceeded), "no answer within", ""},
	} {
		err := startFailure("w", c.printed, c.err)
		if exit.Code(err) != exit.Resource || !strings.Contains(err.Error(), c.says) || !strings.Contains(exit.Hint(err), c.hint) {
			t.Errorf("%s: code %d, %v\nhint: %s", c.name, exit.Code(err), err, exit.Hint(err))
		}
	}
}

func TestClosedAt(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "home", "cache", "lib")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if at, err := closedAt(dir); at != "" || err != nil {
		t.Errorf("an open folder: %q, %v", at, err)
	}
	if at, err := closedAt(dir + "/gone/lib"); at != dir+"/gone" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing one: %q, %v", at, err)
	}
	if os.Geteuid() == 0 {
		return // root may enter every folder
	}
	home := filepath.Join(root, "home")
	if err := os.Chmod(home, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(home, 0o755) }) // for the folder to be removed
	if at, err := closedAt(dir); at != home || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("one in a closed folder: %q, %v", at, err)
	}
}
