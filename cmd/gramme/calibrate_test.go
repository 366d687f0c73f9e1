package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/runspec"
)

func TestSettleLayout(t *testing.T) {
	for _, c := range []struct {
		workers runspec.Workers
		threads int
		device  string
		want    string // workers × threads; "": left to a measurement
	}{
		{runspec.Workers{}, 0, runspec.DeviceCPU, ""},
		{runspec.Workers{}, 3, runspec.DeviceCPU, "1 × 3"},
		{runspec.Workers{}, 0, runspec.DeviceCUDA, "1 × 8"},
		{runspec.Workers{Min: 1, Max: 2}, 0, runspec.DeviceCPU, "1:2 × 4"},
		{runspec.Workers{Min: 16, Max: 16}, 0, runspec.DeviceCPU, "16 × 1"},
		{runspec.Workers{Min: 2, Max: 2}, 1, runspec.DeviceCPU, "2 × 1"},
	} {
		spec := runspec.Spec{Workers: c.workers, Threads: c.threads, Device: c.device}
		got := ""
		if !settleLayout(&spec, 8) {
			got = fmt.Sprintf("%s × %d", spec.Workers, spec.Threads)
		}
		if got != c.want {
			t.Errorf("workers %s, threads %d, %s: %q, not %q", c.workers, c.threads, c.device, got, c.want)
		}
	}
}

// slowWorker is a worker's binary that only answers `measure`: a worker with one thread takes
// ONE seconds in bf16, one with more takes MORE; f32 takes longer than both.
const slowWorker = `#!/bin/sh
case "$*" in *"--threads 1 "*) bf16=ONE ;; *) bf16=MORE ;; esac
echo "{\"micro_batch_seconds\": {\"f32\": 1.1, \"bf16\": $bf16}, \"update_seconds\": {\"f32\": 0, \"bf16\": 0}, \"any_threads\": true}"
`

func TestMeasurementsChoose(t *testing.T) {
	for name, c := range map[string]struct {
		one, more string
		busy      bool
		want      runspec.Layout
	}{
		"threads that share well":          {"1.0", "0.5", false, runspec.Layout{Workers: 1, Threads: 2}},
		"threads that hardly share":        {"1.0", "0.9", false, runspec.Layout{Workers: 2, Threads: 1}},
		"a busy machine's layout is brief": {"1.0", "0.5", true, runspec.Layout{Workers: 1, Threads: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("XDG_CACHE_HOME", "")
			binary := filepath.Join(home, "gramme-worker")
			text := strings.NewReplacer("ONE", c.one, "MORE", c.more).Replace(slowWorker)
			if err := os.WriteFile(binary, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			worker, err := process.OpenProgram(binary)
			if err != nil {
				t.Fatal(err)
			}
			for _, again := range []bool{false, true} {
				var said strings.Builder
				u, spec := &up{dir: rundir.Dir(t.TempDir()), err: &said, worker: worker, busy: func() bool { return c.busy }}, newSpec(t)
				if err := u.dir.Make(); err != nil {
					t.Fatal(err)
				}
				u.spec = spec
				spec.Workers, spec.Threads = runspec.Workers{Min: 1, Max: 1}, 2
				file := filepath.Join(u.dir.Logs(), "calibration.yaml")
				if err := u.choosePrecision(t.Context(), file, &spec, true); err != nil {
					t.Fatal(err)
				}
				if err := u.chooseLayout(t.Context(), file, &spec, 2); err != nil {
					t.Fatal(err)
				}
				got := runspec.Layout{Workers: spec.Workers.Max, Threads: spec.Threads}
				if got != c.want || spec.Workers.Min != 1 || u.workers != c.want.Workers || spec.Precision != runspec.PrecisionBF16 {
					t.Errorf("%s, %s; %d workers start: %s", got, spec.Precision, u.workers, &said)
				}
				if kept := choices(u.dir, spec); len(kept) != 2 || !strings.Contains(said.String(), kept[0].text) || !strings.Contains(said.String(), kept[1].text) {
					t.Errorf("the run's folder holds %v, and the user reads: %s", kept, &said)
				}
				if measured := strings.Contains(said.String(), "measuring how"); measured != (!again || c.busy) {
					t.Errorf("it measures the layouts: %t: %s", measured, &said)
				}
				if measured := strings.Contains(said.String(), "measuring the speed"); measured == again {
					t.Errorf("it measures the precisions: %t: %s", measured, &said)
				}
			}
		})
	}
}

func TestRefit(t *testing.T) {
	two := runspec.Layout{Workers: 2, Threads: 1}
	for name, c := range map[string]struct {
		chosen  *runspec.LayoutChoice
		pinned  bool
		given   []string
		workers int
		want    int // threads
	}{
		"one worker instead of two":        {&runspec.LayoutChoice{Layout: two, Free: true}, false, []string{"workers"}, 1, machine.Cores()},
		"the bits depend on the threads":   {&runspec.LayoutChoice{Layout: two}, false, []string{"workers"}, 1, 77},
		"the threads are pinned":           {&runspec.LayoutChoice{Layout: two, Free: true}, true, []string{"workers"}, 1, 77},
		"the threads are given":            {&runspec.LayoutChoice{Layout: two, Free: true}, false, []string{"workers", "threads"}, 1, 77},
		"the threads were given once":      {nil, false, []string{"workers"}, 1, 77},
		"nothing is given":                 {&runspec.LayoutChoice{Layout: two, Free: true}, false, nil, 2, 77},
		"as many workers as were measured": {&runspec.LayoutChoice{Layout: two, Free: true}, false, []string{"workers"}, 2, 77},
	} {
		u := &up{dir: rundir.Dir(t.TempDir()), spec: runspec.Spec{Threads: 77, Pinned: c.pinned, Workers: runspec.Workers{Min: 1, Max: c.workers}}}
		origins := runspec.Origins{"workers": u.dir.Spec(), "threads": u.dir.Spec()}
		for _, key := range c.given {
			origins[key] = "--" + key
		}
		if c.chosen != nil {
			if err := runspec.WriteLayoutChoice(u.dir.Layout(), *c.chosen); err != nil {
				t.Fatal(err)
			}
		}
		if u.refit(origins); u.spec.Threads != c.want {
			t.Errorf("%s: %d threads, not %d", name, u.spec.Threads, c.want)
		}
	}
}

func newSpec(t *testing.T) runspec.Spec {
	t.Helper()
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
