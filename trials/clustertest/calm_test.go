//go:build cgo

package clustertest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/rundir"
)

// digest names the state that a run ended with.
type digest struct{ model, optimizer string }

func digestOf(t testing.TB, run rundir.Dir) digest {
	t.Helper()
	sum := func(name string) string {
		b, err := os.ReadFile(filepath.Join(run.Checkpoints(), "latest", name))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	return digest{sum("model.safetensors"), sum("optimizer.safetensors")}
}

// calmRun is one that nothing disturbed: what all others are held against.
type calmRun struct {
	run    rundir.Dir
	steps  uint64
	digest digest
}

var (
	calmOnce, longOnce   sync.Once
	calmFound, longFound calmRun
)

var speed = regexp.MustCompile(`speed: +(\d+) tokens/s`)

// Steps of the runs that are disturbed: as many as take one worker about three
// seconds here, so that there is a middle to disturb, within these bounds.
const (
	fewest, most = 120, 4000
	wantSeconds  = 3
	stepTokens   = 8 * 2 * 32 // of the configuration
)

// calm trains with one worker, once for all tests.
func calm(t *testing.T) calmRun {
	t.Helper()
	calmOnce.Do(func() {
		// A run so short that it says little of the speed, or nothing, is followed by
		// longer ones.
		for steps, wanted := 0, fewest/2; 4*wanted > 5*steps; {
			s := newSite(t)
			steps = wanted
			found := speed.FindStringSubmatch(s.must(s.up(strconv.Itoa(steps), "1")...))
			if found == nil {
				if steps == most {
					t.Fatalf("no speed is told after %d steps", steps)
				}
				wanted = min(most, 4*steps)
				continue
			}
			rate, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			calmFound = calmRun{s.run, uint64(steps), digestOf(t, s.run)}
			wanted = min(most, max(fewest, wantSeconds*rate/stepTokens))
		}
		t.Logf("runs of %d steps", calmFound.steps)
	})
	if calmFound.steps == 0 {
		t.Fatal("the undisturbed run failed")
	}
	return calmFound
}

// TestUndisturbed trains what the other tests are held against. It has the machine for
// itself, so that the speed it measures is not that of half a machine: tests that are not
// parallel run before all that are.
func TestUndisturbed(t *testing.T) { calm(t) }

// longer is how many times the steps of calm are those of long.
const longer = 4

// long is calm for as long that something can be away for seconds.
func long(t *testing.T) calmRun {
	t.Helper()
	steps := longer * calm(t).steps
	longOnce.Do(func() {
		s := newSite(t)
		s.must(s.up(strconv.FormatUint(steps, 10), "1")...)
		longFound = calmRun{s.run, steps, digestOf(t, s.run)}
		if longFound.digest == calmFound.digest {
			t.Error("four times as many steps end with the same weights")
		}
	})
	if longFound.steps == 0 {
		t.Fatal("the undisturbed run failed")
	}
	return longFound
}

// up are the arguments that train for steps.
func (s *site) up(steps, workers string, more ...string) []string {
	return append([]string{"up", "--config", "config.yaml", "--run", "run", "--steps", steps, "--workers", workers, corpus}, more...)
}

// same checks that a run ended with the state of the undisturbed one, and that
// its ledger and checkpoints verify.
func (s *site) same(c calmRun) audited {
	s.Helper()
	if got := digestOf(s, s.run); got != c.digest {
		s.Errorf("ended with %v, undisturbed with %v", got, c.digest)
	}
	return s.audit()
}

// hasEveryStep checks that the ledger holds every step once. It cannot where the
// coordinator was killed: the steps that it had not reported yet are lost with it.
func (s *site) hasEveryStep(c calmRun, a audited) {
	s.Helper()
	if a.Account.Steps != c.steps || a.Account.Repeated != 0 || a.Account.LostWork != 0 {
		s.Errorf("the ledger tells of %d steps, not of %d; %d repeated, %d µJ lost",
			a.Account.Steps, c.steps, a.Account.Repeated, a.Account.LostWork)
	}
}

type audited = checkpoint.Report

func (s *site) audit() (report audited) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.must("audit", "--json", "run")), &report); err != nil {
		s.Fatal(err)
	}
	return report
}

// copyOf makes a site that holds a copy of a finished run.
func copyOf(t *testing.T, c calmRun) *site {
	t.Helper()
	s := newSite(t)
	if err := os.CopyFS(string(s.run), os.DirFS(string(c.run))); err != nil {
		t.Fatal(err)
	}
	return s
}
