// Package machine looks at the machine that this process is on, for the checks of
// package preflight: limits, memory, folders, sockets.
//
// It guarantees that what it cannot find out is Unlimited or empty, never an error,
// and that nothing which it makes in order to try stays. It decides nothing.
package machine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/prometheus/procfs"

	"github.com/gramme-project/gramme/internal/cachedir"
	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/launch/preflight"
)

// Look gathers the facts for a run in a folder, which need not be there yet.
func Look(run rundir.Dir) preflight.Facts {
	f := preflight.Facts{
		Processors: runtime.NumCPU(), Root: os.Geteuid() == 0,
		Groups: cgroup.Read(os.DirFS("/")),
		Files:  limit(unix.RLIMIT_NOFILE), AddressSpace: limit(unix.RLIMIT_AS),
		FileSize: limit(unix.RLIMIT_FSIZE), Stack: limit(unix.RLIMIT_STACK), Processes: limit(unix.RLIMIT_NPROC),
		Run: folder(string(run)), Cache: cache(),
	}
	f.MemoryFree, f.MemoryTotal, f.Swap = memory()
	if f.Processes != preflight.Unlimited {
		f.UserTasks = userTasks()
	}
	if self, err := procfs.Self(); err == nil {
		f.OwnTasks = threadsOf(self)
	}
	f.Sockets, f.Refused = run.TrySockets()
	return f
}

// limit is how far this process, or a child of it, may raise a limit of its own.
func limit(which int) int64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(which, &r); err != nil || r.Max > preflight.Unlimited {
		return preflight.Unlimited
	}
	switch which {
	case unix.RLIMIT_NOFILE, unix.RLIMIT_STACK: // Go's programs raise the one as far as they may, ours the other
		return int64(r.Max)
	}
	if r.Cur > preflight.Unlimited {
		return preflight.Unlimited
	}
	return int64(r.Cur)
}

// memory is what the machine could give now, all that it has, and its swap.
func memory() (free, total, swap int64) {
	var m procfs.Meminfo
	if proc, err := procfs.NewDefaultFS(); err == nil {
		m, _ = proc.Meminfo() // what it cannot read is not known
	}
	known := func(n *uint64, unknown int64) int64 {
		if n == nil {
			return unknown
		}
		return int64(*n)
	}
	return known(m.MemAvailableBytes, preflight.Unlimited), known(m.MemTotalBytes, preflight.Unlimited), known(m.SwapTotalBytes, 0)
}

// userTasks counts the threads of this user, which RLIMIT_NPROC bounds together.
func userTasks() (n int64) {
	all, _ := procfs.AllProcs() // none where the system has no /proc
	for _, p := range all {
		if s, err := p.NewStatus(); err == nil && s.UIDs[0] == uint64(os.Getuid()) {
			n += threadsOf(p)
		}
	}
	return n
}

// threadsOf counts the threads of a process, 0 if it has ended.
func threadsOf(p procfs.Proc) int64 {
	s, err := p.Stat()
	if err != nil {
		return 0
	}
	return int64(s.NumThreads)
}

// folder tries whether a folder can be made, or written if it is there.
func folder(path string) preflight.Folder {
	f := preflight.Folder{Path: path, Free: preflight.Unlimited, Inodes: preflight.Unlimited}
	at := rundir.Nearest(path)
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err == nil {
		f.Free = int64(s.Bavail) * s.Bsize
		if os.Geteuid() == 0 {
			f.Reserved = int64(s.Bfree-s.Bavail) * s.Bsize
		}
		if s.Files > 0 { // else its files are not counted
			f.Inodes = int64(s.Ffree)
		}
	}
	dir, err := os.MkdirTemp(at, ".gramme-try-")
	if err == nil {
		err = os.Remove(dir)
	}
	f.Problem, f.Hint = problem(err)
	return f
}

// problem says in words why a folder cannot be written, and what to do.
func problem(err error) (text, hint string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, syscall.ENOSPC):
		// Bytes and files have checks of their own, but not all systems count files.
		return "the disk is full, or can hold no more files", "free some space, or give --run a folder on another disk"
	case errors.Is(err, syscall.EDQUOT):
		return "the quota of this user is used up", "free some space, or give --run a folder on another disk"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only", ""
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Sprintf("user %d may not write there", os.Geteuid()), "give --run a folder that may be written, or change its owner"
	}
	if under := (*os.PathError)(nil); errors.As(err, &under) {
		err = under.Err
	}
	return err.Error(), ""
}

// cache is the folder for what other runs may use.
func cache() preflight.Folder {
	path, err := cachedir.Find()
	if err != nil {
		return preflight.Folder{Problem: err.Error()}
	}
	f := folder(path)
	if f.Problem != "" {
		f.Problem = "no folder for a cache: " + path + ": " + f.Problem
	}
	return f
}
