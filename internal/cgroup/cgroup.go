// Package cgroup reads the limits of a process's control groups: memory and tasks, of
// version 1, version 2 and machines that have both.
//
// A limit may stand at any group between a process and the root, so all of them
// are read, and the one that leaves the least counts. Groups above the root of a
// container's namespace cannot be seen, and limits there are unknown.
//
// It guarantees that a missing or odd file is no limit and no error: a machine
// without control groups is one without limits. It writes nothing.
package cgroup

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Limit is the limit of one group.
type Limit struct {
	Group string // path of the group's folder, for people
	Max   int64  // the limit of the group
	Used  int64  // held by all processes in it, without memory that the kernel can take back
}

// Free is the rest below the limit.
func (l Limit) Free() int64 { return max(0, l.Max-l.Used) }

// Limits are the limits of a process by its control groups.
type Limits struct {
	Memory *Limit // bytes; nil: no limit
	Swap   int64  // bytes of swap that the group of Memory may have besides; Unlimited: no limit
	Tasks  *Limit // processes and threads; nil: no limit
	// OOMKills counts the processes of the own group that the kernel has killed
	// for want of memory.
	OOMKills uint64
}

// Unlimited is a limit that is none.
const Unlimited = math.MaxInt64

// huge is the least value of version 1 that means no limit: it rounds 2^63 down
// to pages.
const huge = math.MaxInt64 - 1<<20

// Read reads the limits of this process. The file system is that of the machine,
// from its root: os.DirFS("/").
func Read(machine fs.FS) Limits {
	r := reader{machine}
	groups := r.text("proc/self/cgroup")
	mounts := parseMounts(r.text("proc/self/mountinfo"))
	l := Limits{Swap: Unlimited}
	for i, dir := range chain(groups, mounts, "memory") {
		if n, counted := r.events(dir, "memory.oom_control", "oom_kill"); counted && i == 0 {
			l.OOMKills = n
		}
		most, limited := r.number(dir, "memory.limit_in_bytes")
		if !limited {
			continue
		}
		used, _ := r.number(dir, "memory.usage_in_bytes")
		cached, known := r.events(dir, "memory.stat", "total_cache")
		if !known {
			cached, _ = r.events(dir, "memory.stat", "cache")
		}
		shared, _ := r.events(dir, "memory.stat", "total_shmem")
		swap := int64(Unlimited)
		if both, limited := r.number(dir, "memory.memsw.limit_in_bytes"); limited {
			swap = max(0, both-most)
		}
		l.memory(Limit{dir, most, kept(used, cached, shared)}, swap)
	}
	for i, dir := range chain(groups, mounts, "") {
		if n, counted := r.events(dir, "memory.events", "oom_kill"); counted && i == 0 {
			l.OOMKills = max(l.OOMKills, n)
		}
		if most, limited := r.number(dir, "memory.max"); limited {
			used, _ := r.number(dir, "memory.current")
			cached, _ := r.events(dir, "memory.stat", "file")
			shared, _ := r.events(dir, "memory.stat", "shmem")
			swap, limited := r.number(dir, "memory.swap.max")
			if !limited {
				swap = Unlimited
			}
			l.memory(Limit{dir, most, kept(used, cached, shared)}, swap)
		}
		l.tasks(r, dir)
	}
	for _, dir := range chain(groups, mounts, "pids") {
		l.tasks(r, dir)
	}
	return l
}

// kept is the memory that the kernel cannot take back: files in memory can be read
// again, but not those of a tmpfs.
func kept(used int64, cached, shared uint64) int64 {
	return max(0, used-max(0, int64(cached)-int64(shared)))
}

func (l *Limits) memory(m Limit, swap int64) {
	if l.Memory == nil || m.Free() < l.Memory.Free() {
		l.Memory, l.Swap = &m, swap
	}
}

func (l *Limits) tasks(r reader, dir string) {
	most, limited := r.number(dir, "pids.max")
	if !limited {
		return
	}
	used, _ := r.number(dir, "pids.current")
	if t := (Limit{dir, most, used}); l.Tasks == nil || t.Free() < l.Tasks.Free() {
		l.Tasks = &t
	}
}

// chain returns the folders of a controller's groups, from the process's own up to
// the root of what is mounted. The controller "" is version 2.
func chain(groups string, mounts []mount, controller string) (dirs []string) {
	own, found := groupOf(groups, controller)
	if !found {
		return nil
	}
	for _, m := range mounts {
		if !m.has(controller) {
			continue
		}
		below, inside := strings.CutPrefix(path.Clean("/"+own), strings.TrimSuffix(m.root, "/"))
		if !inside || below != "" && below[0] != '/' {
			// The namespace of the process shows the group by another path than
			// that of the mount: the mount's root is then the nearest that is known.
			below = ""
		}
		for at := path.Join(m.at, below); ; at = path.Dir(at) {
			dirs = append(dirs, at)
			if at == m.at || at == "/" {
				return dirs
			}
		}
	}
	return nil
}

// groupOf finds the path of a controller's group in /proc/self/cgroup.
func groupOf(groups, controller string) (at string, found bool) {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		if controller == "" && f[0] == "0" && f[1] == "" {
			return f[2], true
		}
		if controller != "" && slices.Contains(strings.Split(f[1], ","), controller) {
			return f[2], true
		}
	}
	return "", false
}

// mount is a hierarchy that is mounted.
type mount struct {
	root, at    string
	controllers []string // of version 1; nil: version 2
}

func (m mount) has(controller string) bool {
	if controller == "" {
		return m.controllers == nil
	}
	return slices.Contains(m.controllers, controller)
}

// parseMounts finds the hierarchies in /proc/self/mountinfo.
func parseMounts(text string) (mounts []mount) {
	for line := range strings.Lines(text) {
		fields, rest, found := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		f, kind := strings.Fields(fields), strings.Fields(rest)
		if !found || len(f) < 5 || len(kind) < 3 {
			continue
		}
		m := mount{root: unescape(f[3]), at: unescape(f[4])}
		switch kind[0] {
		case "cgroup2":
			mounts = append(mounts, m)
		case "cgroup":
			m.controllers = strings.Split(kind[2], ",")
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// unescape undoes the octal escapes of mountinfo: a blank is \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// reader reads small files of the machine; one that is not there is empty.
type reader struct{ machine fs.FS }

func (r reader) text(name string) string {
	b, err := fs.ReadFile(r.machine, strings.TrimPrefix(path.Clean(name), "/"))
	if err != nil {
		return ""
	}
	return string(b)
}

// number reads a file of one number; "max" and equivalents are no limit.
func (r reader) number(dir, name string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(r.text(path.Join(dir, name))), 10, 64)
	return n, err == nil && n >= 0 && n < huge
}

// events reads one counter of a file that has a name and a number in each line.
func (r reader) events(dir, name, counter string) (uint64, bool) {
	for line := range strings.Lines(r.text(path.Join(dir, name))) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == counter {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
