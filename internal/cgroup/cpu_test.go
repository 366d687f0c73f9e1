package cgroup

import "testing"

func TestProcessors(t *testing.T) {
	const (
		v1 = "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		v2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	)
	for name, c := range map[string]struct {
		files map[string]string
		want  float64
	}{
		"no control groups": {map[string]string{}, 0},
		"version 2 without a limit": {map[string]string{
			"proc/self/cgroup": "0::/job\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/job/cpu.max": "max 100000\n",
		}, 0},
		"version 2: the least of all groups": {map[string]string{
			"proc/self/cgroup": "0::/job/step\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/job/step/cpu.max": "400000 100000\n", "sys/fs/cgroup/job/cpu.max": "150000 100000\n",
		}, 1.5},
		"version 1": {map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/job\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, 3},
		"odd files": {map[string]string{
			"proc/self/cgroup": "0::/job\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/job/cpu.max": "1 0\n", "sys/fs/cgroup/cpu.max": "many\n",
		}, 0},
	} {
		if got := Processors(tree(c.files)); got != c.want {
			t.Errorf("%s: %g, not %g", name, got, c.want)
		}
	}
}
