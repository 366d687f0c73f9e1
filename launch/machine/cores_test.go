package machine

import (
	"fmt"
	"runtime"
	"testing"
	"testing/fstest"
)

func TestCoresOfAMachine(t *testing.T) {
	siblings := func(lists ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for n, list := range lists {
			m[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n)] = &fstest.MapFile{Data: []byte(list + "\n")}
		}
		return m
	}
	for name, c := range map[string]struct {
		machine fstest.MapFS
		allowed []int
		quota   float64
		want    int
	}{
		"two threads a core":                {siblings("0,2", "1,3", "0,2", "1,3"), []int{0, 1, 2, 3}, 0, 2},
		"neighbours share a core":           {siblings("0-1", "0-1", "2-3", "2-3"), []int{0, 1, 2, 3}, 0, 2},
		"one thread a core":                 {siblings("0", "1", "2"), []int{0, 1, 2}, 0, 3},
		"some processors are not allowed":   {siblings("0,2", "1,3", "0,2", "1,3"), []int{1, 3}, 0, 1},
		"a quota below the cores":           {siblings("0", "1", "2", "3"), []int{0, 1, 2, 3}, 2, 2},
		"a quota of a processor and a half": {siblings("0", "1", "2", "3"), []int{0, 1, 2, 3}, 1.5, 2},
		"a quota of a bit more than one":    {siblings("0", "1"), []int{0, 1}, 1.2, 1},
		"a quota of almost nothing":         {siblings("0", "1"), []int{0, 1}, 0.1, 1},
		"a quota above the cores":           {siblings("0", "1"), []int{0, 1}, 64, 2},
		"a machine that tells nothing":      {siblings(), []int{0, 1, 2}, 0, 3},
	} {
		if got := cores(c.machine, c.allowed, c.quota); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
	if got := Cores(); got < 1 || got > runtime.NumCPU() {
		t.Errorf("this machine: %d cores of %d processors", got, runtime.NumCPU())
	}
}
