package chaos

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

func withModel(t *testing.T, text string) rundir.Dir {
	t.Helper()
	run := rundir.Dir(t.TempDir())
	at := filepath.Join(run.Checkpoints(), "latest")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, modelFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestSameBits(t *testing.T) {
	a := withModel(t, "weights")
	if c, sum := sameBits(modelFile, a, withModel(t, "weights")); !c.OK || len(sum) != 64 {
		t.Errorf("%+v", c)
	}
	if c, _ := sameBits(modelFile, a, withModel(t, "weighty")); c.OK {
		t.Errorf("%+v", c)
	}
	if c, _ := sameBits(modelFile, a, rundir.Dir(t.TempDir())); c.OK {
		t.Errorf("nothing is the same: %+v", c)
	}
	if c, _ := audit("audit", a); c.OK {
		t.Errorf("a run without a ledger verifies: %+v", c)
	}
}

func TestCounted(t *testing.T) {
	spec := runspec.Spec{Steps: 100, Batch: runspec.Batch{Rows: 2, MicroBatches: 4}}
	for _, c := range []struct {
		name    string
		account ledger.Account
		lost    uint64
		falls   int
		fine    bool
	}{
		{"every step once", ledger.Account{Steps: 100, Samples: 800}, 0, 0, true},
		{"a step is missing", ledger.Account{Steps: 99, Samples: 792}, 0, 0, false},
		{"samples are missing", ledger.Account{Steps: 100, Samples: 799}, 0, 0, false},
		{"repeated, and nothing was lost", ledger.Account{Steps: 100, Samples: 800, Repeated: 1}, 0, 0, false},
		{"repeated, as many as were lost", ledger.Account{Steps: 100, Samples: 800, Repeated: 10}, 10, 1, true},
		{"repeated, more than were lost", ledger.Account{Steps: 100, Samples: 800, Repeated: 30}, 10, 1, false},
	} {
		fine := true
		for _, k := range counted(&c.account, spec, c.lost, c.falls) {
			fine = fine && k.OK
		}
		if fine != c.fine {
			t.Errorf("%s: %v", c.name, fine)
		}
	}
}

func TestNothingLeft(t *testing.T) {
	run := rundir.Dir(t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	if err := os.Mkdir(run.Cluster(), 0o700); err != nil {
		t.Fatal(err)
	}
	oks := func() (ok []bool) {
		for _, c := range nothingLeft(run, "no process has this", []string{host}, 0) {
			ok = append(ok, c.OK)
		}
		return ok
	}
	if got := oks(); !got[0] || got[1] || got[2] {
		t.Errorf("process, port, files: %v", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(run.Cluster()); err != nil {
		t.Fatal(err)
	}
	if got := oks(); !got[0] || !got[1] || !got[2] {
		t.Errorf("process, port, files: %v", got)
	}
}
