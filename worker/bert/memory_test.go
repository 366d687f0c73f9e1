//go:build cgo && linux

package bert_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/worker/bert"
)

// resident is the memory of the process in bytes, without Go's garbage.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(stat), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestMemoryDoesNotGrow(t *testing.T) {
	for _, precision := range precisions {
		t.Run(precision, func(t *testing.T) {
			cfg := small()
			cfg.VocabSize, cfg.HiddenSize, cfg.IntermediateSize = 4000, 96, 192
			m := open(t, cfg, bert.Options{Precision: precision, Threads: 1, Device: device()})
			shapes := [][2]int{{4, 48}, {8, 24}, {2, 40}, {6, 31}} // as a run has them
			run := func(n int) {
				for i := range n {
					b := batch(cfg, uint64(i), shapes[i%4][0], shapes[i%4][1])
					compute(t, m, b, uint64(i))
					if i%10 > 0 {
						continue
					}
					if _, err := m.Evaluate(b); err != nil {
						t.Fatal(err)
					}
					if _, _, err := m.PredictMasked(b.IDs, b.Types, b.Mask, b.Rows, b.Seq, b.Positions); err != nil {
						t.Fatal(err)
					}
					b.Labels[0] = -1
					if _, err := m.Compute(b, 1); err == nil {
						t.Fatal("a label below 0 was taken")
					}
				}
			}
			run(100)
			before, tensors := resident(t), len(ts.ExistingTensors)
			run(300)
			if grown := len(ts.ExistingTensors) - tensors; grown != 0 {
				t.Errorf("%d tensors more than before", grown)
			}
			// One activation kept of each step would be 20 MB, one flat buffer 600.
			if grown := resident(t) - before; grown > 8<<20 {
				t.Errorf("%d kB more than before", grown>>10)
			} else {
				t.Logf("%d kB more than before", grown>>10)
			}
		})
	}
}

func TestCloseFreesEverything(t *testing.T) {
	cfg := small()
	tensors := len(ts.ExistingTensors)
	for range 3 {
		m := open(t, cfg, bert.Options{Device: device()})
		compute(t, m, batch(cfg, 1, 4, 40), 1)
		for range 2 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(ts.ExistingTensors) - tensors; n != 0 {
		t.Errorf("%d tensors left", n)
	}
}
