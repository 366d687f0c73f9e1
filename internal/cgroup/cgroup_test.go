package cgroup

import (
	"reflect"
	"testing"
	"testing/fstest"
)

// tree makes a machine of files.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestRead(t *testing.T) {
	const (
		v1 = `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
		v2        = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		container = `600 590 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
601 590 0:36 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
`
		none = "9223372036854771712\n"
	)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Limits
	}{
		{"no control groups", map[string]string{}, Limits{Swap: Unlimited}},
		{"nothing mounted", map[string]string{"proc/self/cgroup": "4:memory:/a\n0::/\n"}, Limits{Swap: Unlimited}},
		{"version 1 without limits", map[string]string{
			"proc/self/cgroup": "8:pids:/\n4:memory:/\n0::/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": none, "sys/fs/cgroup/pids/pids.max": "max\n",
		}, Limits{Swap: Unlimited}},
		{"version 1: the nearest group limits; caches do not count, a tmpfs does", map[string]string{
			"proc/self/cgroup": "8:pids:/job\n4:memory:/job/step\n0::/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes":                none,
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes":            "1000000\n",
			"sys/fs/cgroup/memory/job/memory.usage_in_bytes":            "100000\n",
			"sys/fs/cgroup/memory/job/step/memory.limit_in_bytes":       "500000\n",
			"sys/fs/cgroup/memory/job/step/memory.memsw.limit_in_bytes": "700000\n",
			"sys/fs/cgroup/memory/job/step/memory.usage_in_bytes":       "300000\n",
			"sys/fs/cgroup/memory/job/step/memory.stat":                 "cache 7\ntotal_cache 200000\ntotal_shmem 50000\n",
			"sys/fs/cgroup/memory/job/step/memory.oom_control":          "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			"sys/fs/cgroup/pids/job/pids.max":                           "45\n", "sys/fs/cgroup/pids/job/pids.current": "4\n",
		}, Limits{
			Memory: &Limit{"/sys/fs/cgroup/memory/job/step", 500000, 150000}, Swap: 200000,
			Tasks: &Limit{"/sys/fs/cgroup/pids/job", 45, 4}, OOMKills: 3,
		}},
		{"version 1: a group above leaves less", map[string]string{
			"proc/self/cgroup": "4:memory:/job/step\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes":      "1000\n",
			"sys/fs/cgroup/memory/job/memory.usage_in_bytes":      "900\n",
			"sys/fs/cgroup/memory/job/step/memory.limit_in_bytes": "500\n",
		}, Limits{Memory: &Limit{"/sys/fs/cgroup/memory/job", 1000, 900}, Swap: Unlimited}},
		{"version 1 in a container: the mount begins at its group", map[string]string{
			"proc/self/cgroup": "8:pids:/docker/abc\n4:memory:/docker/abc\n", "proc/self/mountinfo": container,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "800\n", "sys/fs/cgroup/pids/pids.max": "20\n",
		}, Limits{Memory: &Limit{"/sys/fs/cgroup/memory", 800, 0}, Swap: Unlimited, Tasks: &Limit{"/sys/fs/cgroup/pids", 20, 0}}},
		{"a namespace that shows another path than the mount", map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "proc/self/mountinfo": container,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "800\n",
		}, Limits{Memory: &Limit{"/sys/fs/cgroup/memory", 800, 0}, Swap: Unlimited}},
		{"version 2, nested", map[string]string{
			"proc/self/cgroup": "0::/user.slice/job.scope\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/user.slice/memory.max":                 "max\n",
			"sys/fs/cgroup/user.slice/pids.max":                   "30\n",
			"sys/fs/cgroup/user.slice/pids.current":               "25\n",
			"sys/fs/cgroup/user.slice/job.scope/pids.max":         "max\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.max":       "262144000\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.current":   "100000000\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.stat":      "anon 1\nfile 60000000\nshmem 10000000\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.swap.max":  "0\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.events":    "low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\n",
			"sys/fs/cgroup/user.slice/other.scope/memory.max":     "1\n",
			"sys/fs/cgroup/user.slice/other.scope/memory.current": "1\n",
		}, Limits{
			Memory: &Limit{"/sys/fs/cgroup/user.slice/job.scope", 262144000, 50000000}, Swap: 0,
			Tasks: &Limit{"/sys/fs/cgroup/user.slice", 30, 25}, OOMKills: 2,
		}},
		{"odd files are no limits", map[string]string{
			"proc/self/cgroup": "x\n0:::\n0::/a\n", "proc/self/mountinfo": "1 2\n" + v2 + "a - b\n",
			"sys/fs/cgroup/a/memory.max": "-5\n", "sys/fs/cgroup/a/pids.max": "many\n",
		}, Limits{Swap: Unlimited}},
		{"a mount with a blank", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": `30 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw` + "\n",
			"my groups/pids.max": "5\n",
		}, Limits{Swap: Unlimited, Tasks: &Limit{"/my groups", 5, 0}}},
	} {
		if got := Read(tree(c.files)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v (memory %+v, tasks %+v)\nwant %+v (memory %+v, tasks %+v)",
				c.name, got, got.Memory, got.Tasks, c.want, c.want.Memory, c.want.Tasks)
		}
	}
}

func TestFreeIsNeverNegative(t *testing.T) {
	if free := (Limit{Max: 5, Used: 9}).Free(); free != 0 {
		t.Errorf("%d are free", free)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("4:memory:/a/b\n0::/c\n", "35 31 0:32 / /sys/memory rw - cgroup cgroup rw,memory\n", "500\n")
	f.Add("0::/../x\n", "30 23 0:26 /a\\040b /g rw - cgroup2 cgroup2 rw\n", "max\n")
	f.Fuzz(func(t *testing.T, groups, mounts, limit string) {
		l := Read(tree(map[string]string{
			"proc/self/cgroup": groups, "proc/self/mountinfo": mounts,
			"sys/memory/memory.limit_in_bytes": limit, "g/memory.max": limit, "g/pids.max": limit,
		}))
		for _, limit := range []*Limit{l.Memory, l.Tasks} {
			if limit != nil && (limit.Max < 0 || limit.Free() < 0) {
				t.Errorf("a limit of %+v", limit)
			}
		}
	})
}
