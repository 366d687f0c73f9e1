//go:build cgo

package clustertest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// otherISA makes libtorch compute by the oldest instructions that it knows, which
// no processor of today chooses by itself.
var otherISA = []string{"ATEN_CPU_CAPABILITY=default", "ONEDNN_MAX_CPU_ISA=SSE41"}

// far starts a worker as on another machine: it has a cache of its own.
func (c *shared) far(id, run string, environ []string, flags ...string) *running {
	c.Helper()
	cmd := c.command(append([]string{"worker", "--run-id", run, "--id", id}, flags...)...)
	cache, err := os.MkdirTemp(c.dir, "far")
	if err != nil {
		c.Fatal(err)
	}
	cmd.Env = append(append(append(cmd.Env, c.services.Environ()...), "XDG_CACHE_HOME="+cache), environ...)
	return c.start(cmd)
}

// worker returns what a status says of one.
func worker(s wire.Status, id string) wire.Process {
	for _, p := range s.Processes {
		if p.ID == id && p.Role == wire.RoleWorker {
			return p
		}
	}
	return wire.Process{}
}

// notes are those of a kind in the ledger.
func notes(a audited, kind string) (texts []string) {
	for _, n := range a.Account.Notes {
		if n.Kind == kind {
			texts = append(texts, n.Text)
		}
	}
	return texts
}

const arithmetic = "its arithmetic gives "

// TestOtherArithmeticIsRefused lets workers ask that would not compute the bits of
// the run. It ends with the weights that it has without them.
func TestOtherArithmeticIsRefused(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	far := s.far("far", r.reaches(1).Run, otherISA)
	s.until("the worker is refused", patience, func() bool { return worker(s.status(), "far").State == wire.WorkerRefused })
	s.want(far.wait(), exit.Usage, "error: the run refuses this worker: "+arithmetic)
	s.done(r, c)
	if all := r.err.String(); !strings.Contains(all, "worker far on ") || !strings.Contains(all, " is refused: "+arithmetic) {
		t.Errorf("gramme up does not say so:\n%s", all)
	}
	a := s.audit()
	if told := notes(a, ledger.NoteRefused); len(told) != 1 || !strings.Contains(told[0], "worker far on ") || !strings.Contains(told[0], arithmetic) {
		t.Errorf("the ledger says: %q", told)
	}
	if a.Account.Mixed || a.Checkpoints[len(a.Checkpoints)-1].Numerics.Mixed || s.status().Mixed {
		t.Error("a run is called mixed, though nobody else took part")
	}
}

// TestAnotherNumberOfThreads has a worker of two threads join a run of one. It computes
// the same bits.
func TestAnotherNumberOfThreads(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	// Threads that wait passively leave the processor to others; the bits are the same.
	far := s.far("far", r.reaches(1).Run, []string{"OMP_WAIT_POLICY=passive"}, "--threads", "2")
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	s.done(r, c)
	s.want(far.wait(), 0)
	if a := s.audit(); a.Account.Mixed {
		t.Error("a run is called mixed, though all computed the same bits")
	}
}

// TestOtherArithmeticIsAdmitted lets the same worker in. The replicas stay equal,
// and everything that is left of the run says that it cannot be had again.
func TestOtherArithmeticIsAdmitted(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1", "--mixed")...)
	far := s.far("far", r.reaches(1).Run, otherISA)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	if !s.status().Mixed {
		t.Error("the status does not say that the run is mixed")
	}
	s.want(s.gramme("status", "--run", "run"), 0, "mixed: ")
	s.want(r.wait(), 0, fmt.Sprintf("done: %d steps", c.steps))
	s.want(far.wait(), 0)
	if got := digestOf(t, s.run); got == c.digest {
		t.Error("ended with the bits of an undisturbed run: the worker computed nothing, or computes alike")
	}
	s.mixed()
}

// mixed checks that ledger and checkpoints say that a run was mixed, and that its
// replicas never differed.
func (s *site) mixed() {
	s.Helper()
	a := s.audit()
	if !a.Account.Mixed || len(notes(a, ledger.NoteMixed)) == 0 {
		s.Error("the ledger does not say that the run is mixed")
	}
	if last := a.Checkpoints[len(a.Checkpoints)-1].Numerics; !last.Mixed || last.Fingerprint == "" {
		s.Errorf("the last checkpoint says of its numerics: %+v", last)
	}
	if told := notes(a, ledger.NoteDivergence); len(told) > 0 {
		s.Errorf("replicas differed: %q", told)
	}
	s.want(s.gramme("audit", "run"), 0, "mixed: workers with different numerics took part", ", of a mixed run")
}

// TestGoingOnWithOtherArithmetic stops a run and goes on with it as on a machine of
// another kind: the checkpoint says what it was computed by, whatever etcd has
// forgotten. Once mixed, it stays so.
func TestGoingOnWithOtherArithmetic(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newSite(t)
	steps := 3 * c.steps // room for three stops
	up := s.up(text(steps), "1")
	start := func(environ []string, more ...string) *running {
		cmd := s.command(append(slices.Clone(up), more...)...)
		cmd.Env = append(cmd.Env, environ...)
		return s.start(cmd)
	}
	stop := func(r *running) {
		if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		s.want(r.wait(), 0, "stopped at step ")
	}
	r := start(nil)
	r.reaches(c.steps / 4)
	stop(r)
	at := s.status().Step

	r = start(otherISA)
	s.until("the worker is refused", patience, func() bool { return worker(s.status(), "w1").State == wire.WorkerRefused })
	if got := s.status(); got.State != wire.StateWaiting || !strings.Contains(got.Reason, "w1: "+arithmetic) {
		t.Errorf("status %+v", got)
	}
	stop(r)
	if got := s.status().Step; got != at {
		t.Errorf("it went on from step %d to %d", at, got)
	}

	r = start(otherISA, "--mixed")
	if !r.reaches(at + c.steps/4).Mixed {
		t.Error("the status does not say that the run is mixed")
	}
	stop(r)
	r = start(nil)
	if !r.reaches(at + c.steps/4).Mixed {
		t.Error("the status has forgotten that the run is mixed")
	}
	s.want(r.wait(), 0, fmt.Sprintf("done: %d steps", steps))
	s.mixed()
}
