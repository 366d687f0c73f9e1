//go:build cgo

package clustertest

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// TestWhatIsChosenDoesNotChangeTheWeights lets measurements choose precision, workers and
// threads. Whatever they choose, other numbers of both end with the same bits.
func TestWhatIsChosenDoesNotChangeTheWeights(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	settings := s.write("auto.yaml", strings.NewReplacer("threads: 1", "threads: 0", "precision: f32", "precision: auto").Replace(config))
	s.must("up", "--run", "run", "--config", settings, "--steps", "4", corpus)
	s.run = rundir.Dir(filepath.Join(s.dir, "run"))
	spec, err := runspec.Read(s.run.Spec())
	if err != nil {
		t.Fatal(err)
	}
	precision, err := runspec.ReadPrecisionChoice(s.run.Precision())
	if err != nil || precision == nil || precision.Precision != spec.Precision {
		t.Fatalf("the run trains in %s, %v was chosen: %v", spec.Precision, precision, err)
	}
	layout, err := runspec.ReadLayoutChoice(s.run.Layout())
	if err != nil || layout == nil || layout.Workers != spec.Workers.Max || layout.Threads != spec.Threads {
		t.Fatalf("the run has %s workers × %d threads, %v was chosen: %v", spec.Workers, spec.Threads, layout, err)
	}
	if status := s.must("status", "--run", "run"); !strings.Contains(status, precision.String()) || !strings.Contains(status, layout.String()) {
		t.Errorf("neither %q nor %q in the status:\n%s", precision, layout, status)
	}
	want := digestOf(t, s.run)

	s.run = rundir.Dir(filepath.Join(s.dir, "other"))
	s.must("up", "--run", "other", "--like", "run", "--workers", strconv.Itoa(3-min(2, layout.Workers)), "--threads", strconv.Itoa(3-min(2, layout.Threads)))
	if got := digestOf(t, s.run); layout.Free && got != want {
		t.Errorf("another layout than %s ends with %v, not %v", layout.Layout, got, want)
	}
}
