package preflight

import (
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/cgroup"
)

// roomy is a machine without a limit.
func roomy() Facts {
	return Facts{
		Processors: 2, Root: true, MemoryFree: 20e9, MemoryTotal: 24e9, Groups: cgroup.Limits{Swap: Unlimited},
		Files: 1 << 20, AddressSpace: Unlimited, FileSize: Unlimited, Stack: Unlimited, Processes: Unlimited,
		Run:     Folder{Path: "runs/a", Free: 100e9, Inodes: 1e6},
		Cache:   Folder{Path: "/home/a/.cache/gramme", Free: Unlimited, Inodes: Unlimited},
		Sockets: "runs/a",
	}
}

// tiny is a run of the smallest model with some workers.
func tiny(least, most int) Need {
	return Need{
		Least: least, Most: most, Threads: 1, Parameters: 599_000, FewestParameters: 500_000,
		Activations: Shape{Rows: 2, Seq: 64, Masked: 10, Layers: 2, Hidden: 128, Intermediate: 512, Heads: 2, Vocab: 800}.Activations(), Input: 43_000,
	}
}

func group(most, used int64) *cgroup.Limit {
	return &cgroup.Limit{Group: "/sys/fs/cgroup/job", Max: most, Used: used}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine func(*Facts)
		need    Need
		level   Level
		says    string // of the worst findings
		hint    string
		workers int
	}{
		{name: "roomy", need: tiny(2, 2), workers: 2},
		{
			name: "a container of 250 MiB", machine: func(f *Facts) { f.Groups.Memory, f.Groups.Swap, f.Swap = group(262_144_000, 0), 0, 1e9 }, need: tiny(2, 2),
			level: Failure, workers: 2, says: "memory: the container allows 262 MB, a run of 2 workers takes at least",
			hint: "raise the memory limit of the container (/sys/fs/cgroup/job), or give --workers 1",
		},
		{
			name: "there one fits of a range", machine: func(f *Facts) { f.Groups.Memory = group(262_144_000, 0) }, need: tiny(1, 3),
			level: Warning, workers: 1, says: "memory: the container allows 262 MB, a run of 3 workers takes about",
		},
		{
			name: "swap makes it possible, perhaps", machine: func(f *Facts) { f.Groups.Memory, f.Swap = group(262_144_000, 0), 1e9 }, need: tiny(2, 2),
			level: Warning, workers: 2, says: "memory: the container allows 262 MB, a run of 2 workers takes about",
		},
		{
			name: "what others use may become free", machine: func(f *Facts) { f.Groups.Memory = group(2e9, 1.9e9) }, need: tiny(2, 2),
			level: Warning, workers: 2, says: "memory: the container allows 100 MB, a run of 2 workers takes about",
		},
		{
			name: "not enough for one", machine: func(f *Facts) { f.Groups.Memory = group(128e6, 0) }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "memory: the container allows 128 MB, a run of 1 worker takes at least 1",
		},
		{name: "a container larger than the machine", machine: func(f *Facts) { f.Groups.Memory = group(99e9, 0) }, need: tiny(2, 2), workers: 2},
		{
			name: "a machine that is busy", machine: func(f *Facts) { f.MemoryFree = 300e6 }, need: tiny(1, 2),
			level: Warning, workers: 1, says: "memory: the machine has 300 MB",
		},
		{
			name: "a model larger than the machine", need: Need{Least: 1, Most: 1, Parameters: 3e9, FewestParameters: 3e9},
			level: Failure, workers: 1, says: "memory: the machine has 24 GB, a run of 1 worker takes at least 84 GB",
		},
		{
			name: "20 tasks", machine: func(f *Facts) { f.Groups.Tasks = group(20, 3) }, need: tiny(2, 2),
			level: Failure, workers: 2, says: "processes and threads: the container leaves 20, a run of 2 workers takes at least 46",
			hint: "raise pids.max of the container (/sys/fs/cgroup/job)",
		},
		{
			name: "45 tasks and a range", machine: func(f *Facts) { f.Groups.Tasks = group(45, 3) }, need: tiny(1, 2),
			level: Warning, workers: 1, says: "processes and threads: the container leaves 42",
		},
		{
			name: "a user's own limit", machine: func(f *Facts) { f.Root, f.Processes, f.UserTasks = false, 30, 10 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "processes and threads: the limit of this user leaves 30", hint: "raise it (ulimit -u)",
		},
		{name: "which does not bind root", machine: func(f *Facts) { f.Processes = 1 }, need: tiny(1, 1), workers: 1},
		{
			name: "64 open files", machine: func(f *Facts) { f.Files = 64 }, need: tiny(2, 2),
			level: Failure, workers: 2, says: "open files: the limit is 64, a run of 2 workers takes at least 158", hint: "raise it with `ulimit -n 4096`",
		},
		{
			name: "64 open files, with an etcd elsewhere", machine: func(f *Facts) { f.Files = 64 }, need: Need{Least: 2, Most: 2, Shared: true},
			workers: 2,
		},
		{
			name: "no address space", machine: func(f *Facts) { f.AddressSpace = 1e9 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "address space: the limit is 1.0 GB", hint: "lift it with `ulimit -v unlimited`",
		},
		{
			name: "no stack", machine: func(f *Facts) { f.Stack = 64 << 10 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "stack: the limit is 66 kB", hint: "raise it with `ulimit -s 8192`",
		},
		{
			name: "small files only", machine: func(f *Facts) { f.FileSize = 1e6 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "size of files: the limit is 1 MB, the largest file has at least 17 MB", hint: "lift it with `ulimit -f unlimited`",
		},
		{
			name: "a full disk", machine: func(f *Facts) { f.Run.Free = 5e6 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "disk: 5 MB free at runs/a, one checkpoint takes at least 7 MB",
		},
		{
			name: "a disk that may be too small", machine: func(f *Facts) { f.Run.Free = 20e6 }, need: tiny(1, 1),
			level: Warning, workers: 1, says: "disk: 20 MB free at runs/a, two checkpoints and the corpus take about 34 MB",
		},
		{
			name: "few files left", machine: func(f *Facts) { f.Run.Inodes = 5 }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "inodes: 5 more files can be made at runs/a, a run makes about 60",
		},
		{name: "files are not counted", machine: func(f *Facts) { f.Run.Inodes = Unlimited }, need: tiny(1, 1), workers: 1},
		{
			name: "read-only", machine: func(f *Facts) { f.Run.Problem = "the file system is read-only" }, need: tiny(1, 1),
			level: Failure, workers: 1, says: "run folder: runs/a: the file system is read-only", hint: "give --run a folder that may be written",
		},
		{
			name: "no sockets", machine: func(f *Facts) {
				f.Sockets, f.Refused = "", []string{"mkdir /gone/g: no such file or directory", "/tmp: read-only"}
			}, need: tiny(1, 1),
			level: Failure, workers: 1, says: "unix sockets: work nowhere: mkdir /gone/g: no such file or directory; /tmp: read-only", hint: "set TMPDIR",
		},
		{
			name: "no home", machine: func(f *Facts) { f.Cache = Folder{Problem: "HOME is not set"} }, need: tiny(1, 1),
			level: Note, workers: 1, says: "cache: HOME is not set",
		},
	} {
		f := roomy()
		if c.machine != nil {
			c.machine(&f)
		}
		r := Check(f, c.need)
		level := OK
		for _, f := range r.Findings {
			level = max(level, f.Level)
		}
		if level != c.level || r.Workers != c.workers {
			t.Errorf("%s: level %d, %d workers; want %d, %d: %v", c.name, level, r.Workers, c.level, c.workers, r.At(level))
		}
		if c.says == "" {
			continue
		}
		worst := r.At(level)
		if len(worst) != 1 || !strings.HasPrefix(worst[0].String(), c.says) || !strings.HasPrefix(worst[0].Hint, c.hint) || worst[0].Hint == "" {
			t.Errorf("%s: %v", c.name, worst)
		}
	}
}

// TestEstimate holds the estimate against what was measured: a worker of 14 million
// parameters, with 8 and with 16 rows of 128 tokens, took 1,050 and 1,350 MB.
func TestEstimate(t *testing.T) {
	for rows, measured := range map[int]int64{8: 1050 * mb, 16: 1350 * mb} {
		n := Need{Parameters: 14_250_000, Activations: Shape{
			Rows: rows, Seq: 128, Masked: 20, Layers: 4, Hidden: 512, Intermediate: 2048, Heads: 8, Vocab: 3000,
		}.Activations()}
		got := memory(roomy(), n).usual.worker
		if got < measured*85/100 || got > measured*115/100 {
			t.Errorf("%d rows: an estimate of %s, measured %s", rows, Bytes(got), Bytes(measured))
		}
	}
}
