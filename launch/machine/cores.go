package machine

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/internal/cgroup"
)

// Cores returns how many threads that compute this machine has use for: the physical cores
// of the processors on which this process may run, and no more than its control groups
// give time for. The two hardware threads of a core share the units that multiply.
func Cores() int {
	var set unix.CPUSet
	var allowed []int
	if err := unix.SchedGetaffinity(0, &set); err == nil {
		for n := range 8 * len(set) * 8 {
			if set.IsSet(n) {
				allowed = append(allowed, n)
			}
		}
	}
	if len(allowed) == 0 { // more processors than the set has room for
		for n := range runtime.NumCPU() {
			allowed = append(allowed, n)
		}
	}
	root := os.DirFS("/")
	return cores(root, allowed, cgroup.Processors(root))
}

// Busy reports whether more processes want the processors than there are, by the mean of
// the last minute. It is false where the system does not say.
func Busy() bool {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return false
	}
	load, err := proc.LoadAvg()
	return err == nil && load.Load1 > 1.5*float64(runtime.NumCPU())
}

// cores counts the cores of processors, of which each shares a core with those that the
// system lists as its siblings. A quota of 0 is none.
func cores(machine fs.FS, allowed []int, quota float64) int {
	found := map[string]bool{}
	for _, n := range allowed {
		b, err := fs.ReadFile(machine, fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n))
		siblings := strings.TrimSpace(string(b))
		if err != nil || siblings == "" {
			siblings = fmt.Sprint(n) // not known: a core of its own
		}
		found[siblings] = true
	}
	n := len(found)
	if quota > 0 {
		n = min(n, int(math.Ceil(quota-0.25))) // a quarter of a processor is not worth a thread
	}
	return max(1, n)
}
