package cgroup

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Processors returns how many processors' worth of time the groups of this process allow:
// the least quota divided by its period, of the own group and those above. It is 0 without
// a limit. The file system is that of the machine, from its root.
func Processors(machine fs.FS) (least float64) {
	r := reader{machine}
	groups, mounts := r.text("proc/self/cgroup"), parseMounts(r.text("proc/self/mountinfo"))
	bound := func(quota, period int64, limited bool) {
		if n := float64(quota) / float64(period); limited && quota > 0 && period > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	for _, dir := range chain(groups, mounts, "") {
		bound(r.pair(dir, "cpu.max"))
	}
	for _, dir := range chain(groups, mounts, "cpu") {
		quota, limited := r.number(dir, "cpu.cfs_quota_us") // -1 without a limit
		period, known := r.number(dir, "cpu.cfs_period_us")
		bound(quota, period, limited && known)
	}
	return least
}

// pair reads a file of two numbers.
func (r reader) pair(dir, name string) (a, b int64, ok bool) {
	f := strings.Fields(r.text(path.Join(dir, name)))
	if len(f) != 2 {
		return 0, 0, false
	}
	a, err := strconv.ParseInt(f[0], 10, 64) // "max" without a limit
	b, err2 := strconv.ParseInt(f[1], 10, 64)
	return a, b, err == nil && err2 == nil
}
