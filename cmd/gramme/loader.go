package main

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

// buildHint is for a worker that is missing, or of another build.
const buildHint = "build it with scripts/setup"

// startFailure says why an existing program does not start.
func startFailure(path, printed string, err error) error {
	reason, hint := err.Error(), ""
	ended := (*exec.ExitError)(nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, fs.ErrPermission):
		reason = fmt.Sprintf("user %d may not execute it", os.Geteuid())
		hint = "check its permissions and those of the folders above it, and whether the disk is mounted with noexec"
	case errors.Is(err, fs.ErrNotExist): // the file exists, its loader does not
		reason, hint = "this system has no loader for it", "Gramme's worker needs Linux with glibc; "+buildHint
	case errors.As(err, &ended):
		reason, hint = endedEarly(path, printed, ended.Sys())
	}
	return exit.Wrap(exit.Resource, hint, fmt.Errorf("%s does not start: %s", path, reason))
}

// endedEarly interprets the output of a program that ended at once.
func endedEarly(path, printed string, state any) (reason, hint string) {
	last := strings.TrimSpace(printed)
	last = cmp.Or(process.CrashLine(printed), last[strings.LastIndexByte(last, '\n')+1:])
	status, _ := state.(syscall.WaitStatus)
	switch {
	case strings.Contains(printed, "cannot open shared object file"):
		return missingLibrary(path, last)
	case strings.Contains(printed, "failed to map segment"), strings.Contains(printed, "annot allocate memory"), strings.Contains(printed, "cannot reserve"),
		strings.Contains(printed, "out of memory"):
		return last, "memory or address space is short: check `ulimit -v` and the memory limit of the container"
	case strings.Contains(printed, "failed to create new OS thread"):
		return "it cannot start a thread", "raise pids.max of the container, or `ulimit -u`"
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return "it was killed", "memory may be short: check the memory limit of the container"
	case status.Signaled() && status.Signal() == syscall.SIGILL:
		return "the processor lacks one of its instructions", "build it on this machine with scripts/setup"
	case status.Signaled():
		return "it crashed: " + status.Signal().String(), "build it again with scripts/setup; check `ulimit -a` for limits that are too small"
	}
	return last, "run it as `" + path + " --version` to see more"
}

// missingLibrary says why the loader does not find the worker's libraries: the folder of
// libtorch may be gone, or closed to this user.
func missingLibrary(path, said string) (reason, hint string) {
	said = strings.TrimPrefix(said, path+": ")
	said = strings.TrimPrefix(said, "error while loading shared libraries: ")
	for _, dir := range libraryFolders(path) {
		closed, err := closedAt(dir)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return fmt.Sprintf("libtorch is in %s, and user %d may not read %s", dir, os.Geteuid(), closed),
				"let this user read it, or build with a copy that this user may read: scripts/setup --libtorch DIR"
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Sprintf("it looks for libtorch in %s, which is gone", dir), "fetch it again with scripts/setup"
		}
	}
	return said, "fetch libtorch again with scripts/setup"
}

// libraryFolders are the folders that the loader searches first for a program's
// libraries.
func libraryFolders(path string) (dirs []string) {
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		lists, err := f.DynString(tag)
		if err != nil {
			continue
		}
		for _, list := range lists {
			for dir := range strings.SplitSeq(list, ":") {
				dir = strings.NewReplacer("$ORIGIN", filepath.Dir(path), "${ORIGIN}", filepath.Dir(path)).Replace(dir)
				if filepath.IsAbs(dir) {
					dirs = append(dirs, filepath.Clean(dir))
				}
			}
		}
	}
	return dirs
}

// closedAt finds the first folder on a path that cannot be entered, or the path
// itself where it cannot be read.
func closedAt(dir string) (string, error) {
	at := "/"
	for name := range strings.SplitSeq(strings.TrimPrefix(dir, "/"), "/") {
		below := filepath.Join(at, name)
		if _, err := os.Stat(below); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return at, err
			}
			return below, err
		}
		at = below
	}
	f, err := os.Open(dir)
	if err != nil {
		return dir, err
	}
	return "", f.Close()
}
