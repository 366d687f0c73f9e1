//go:build cgo

package clustertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// TestLike trains as another run did: with the same steps to the same bits, with
// more to others, and under a name of its own.
func TestLike(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := copyOf(t, c)
	first, err := runspec.Read(s.run.Spec())
	if err != nil {
		t.Fatal(err)
	}
	s.want(s.gramme("up", "--run", "other", "--like", "absent"), 2, "--like absent: ", "hint: ")
	s.run = rundir.Dir(filepath.Join(s.dir, "other"))
	s.must("up", "--run", "other", "--like", "run")
	if got := digestOf(t, s.run); got != c.digest {
		t.Errorf("the same settings and corpus end with %v, not %v", got, c.digest)
	}
	second, err := runspec.Read(s.run.Spec())
	if err != nil || second.Run == first.Run {
		t.Errorf("both runs are called %s, %v", first.Run, err)
	}
	s.run = rundir.Dir(filepath.Join(s.dir, "more"))
	for range 2 { // the same command goes on, without the run that it began like
		s.must("up", "--run", "more", "--like", "run", "--steps", "9")
		if err := os.RemoveAll(filepath.Join(s.dir, "run")); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := runspec.Read(s.run.Spec()); err != nil || more.Steps != 9 || more.Batch != first.Batch || digestOf(t, s.run) == c.digest {
		t.Errorf("with 9 steps: %+v, %v", more, err)
	}
}
