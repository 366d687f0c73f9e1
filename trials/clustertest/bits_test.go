//go:build cgo

package clustertest

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

func text(steps uint64) string { return strconv.FormatUint(steps, 10) }

// TestWorkers trains with two and with three workers.
func TestWorkers(t *testing.T) {
	t.Parallel()
	c := calm(t)
	counts := []string{"2", "3"}
	if testing.Short() {
		counts = counts[1:]
	}
	for _, workers := range counts {
		t.Run(workers, func(t *testing.T) {
			s := newSite(t)
			s.must(s.up(text(c.steps), workers)...)
			s.hasEveryStep(c, s.same(c))
		})
	}
}

// TestKillEverything kills all processes twice, the first time without any
// checkpoint to go on from.
func TestKillEverything(t *testing.T) { onBothServices(t, killEverything) }

func killEverything(t *testing.T, newSite func(*testing.T) *site) {
	c := calm(t)
	s := newSite(t)
	up := s.up(text(c.steps), "2")
	for _, kill := range []struct {
		at    uint64
		every string
	}{{c.steps / 4, "1h"}, {c.steps / 2, "100ms"}} {
		r := s.start(s.command(append(up, "--checkpoint-every", kill.every)...))
		r.reaches(kill.at)
		r.until("the ledger holds what a step took", patience, func() bool {
			return s.audit().Account.ByPhase["compute"] > 0
		})
		s.killAll()
		r.wait()
		if got := s.status(); got.State != wire.StateStopped || len(got.Processes) > 0 {
			t.Errorf("status after all was killed: %+v", got)
		}
	}
	s.must(up...)
	a := s.same(c)
	if a.Account.LostWork == 0 {
		t.Error("the ledger tells of no lost work")
	}
	if a.Account.Wasted < a.Account.LostWork {
		t.Errorf("%d µJ lost, but only %d wasted", a.Account.LostWork, a.Account.Wasted)
	}
	if len(a.Account.Resumes) == 0 {
		t.Error("the ledger tells of no resume")
	}
}

// TestKillParent kills the one process that started all others.
func TestKillParent(t *testing.T) { onBothServices(t, killParent) }

func killParent(t *testing.T, newSite func(*testing.T) *site) {
	c := calm(t)
	s := newSite(t)
	up := s.up(text(c.steps), "2")
	r := s.start(s.command(up...))
	r.reaches(c.steps / 4)
	s.kill(r.cmd.Process.Pid)
	r.wait()
	s.until("no process is left", patience, func() bool { return len(s.processes()) == 0 })
	s.must(up...)
	s.same(c)
}

// TestKillOne kills one process of each role while the run goes on, and lets a worker
// crash, which ends with the exit code of bad usage.
func TestKillOne(t *testing.T) { onBothServices(t, killOne) }

func killOne(t *testing.T, newSite func(*testing.T) *site) {
	c := calm(t)
	for _, how := range []struct {
		id     string
		signal syscall.Signal
		says   string
	}{
		{"w1", syscall.SIGKILL, ""},
		{"w1", syscall.SIGSEGV, " crashed and is started again: SIGSEGV: segmentation violation"},
		{wire.IDCheckpoint, syscall.SIGKILL, "checkpoint was killed and is started again"},
		{wire.IDCoordinator, syscall.SIGKILL, "coordinator was killed and is started again"},
	} {
		t.Run(how.id+" "+how.signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := s.start(s.command(s.up(text(c.steps), "1:2")...))
			r.reaches(c.steps / 8)
			if err := syscall.Kill(s.pid(how.id), how.signal); err != nil {
				t.Error(err)
			}
			s.want(r.wait(), 0, fmt.Sprintf("done: %d steps", c.steps), how.says)
			if a := s.same(c); how.id != wire.IDCoordinator {
				s.hasEveryStep(c, a)
			}
		})
	}
}

// TestScaleThrough has four workers, then two, three and one, and kills one after
// each change.
func TestScaleThrough(t *testing.T) { onBothServices(t, scaleThrough) }

func scaleThrough(t *testing.T, newSite func(*testing.T) *site) {
	c := long(t)
	s := newSite(t)
	r := s.start(s.command(s.up(text(c.steps), "1:4")...))
	r.reaches(1)
	for i, n := range []int{1, 4, 2, 3, 1} {
		s.must("scale", "--run", "run", "--wait", strconv.Itoa(n))
		now := r.reaches(uint64(i+1) * c.steps / 8)
		for _, p := range now.Processes {
			if p.Member() {
				s.kill(p.PID)
				break
			}
		}
	}
	s.want(r.wait(), 0, fmt.Sprintf("done: %d steps", c.steps))
	s.same(c)
}

// TestInterrupt stops a run in order, and goes on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	c := calm(t)
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	// The children of a test that runs under nohup would ignore it.
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGHUP)
	defer signal.Stop(received)
	if testing.Short() {
		signals = signals[:1]
	}
	for _, sent := range signals {
		t.Run(sent.String(), func(t *testing.T) {
			s := newSite(t)
			up := s.up(text(c.steps), "2", "--checkpoint-every", "1h")
			r := s.start(s.command(up...))
			r.reaches(c.steps / 4)
			if err := r.cmd.Process.Signal(sent); err != nil {
				t.Fatal(err)
			}
			s.want(r.wait(), 0, "stopped at step ", "resume: ", "gramme up --run run")
			stopped := s.status()
			if stopped.State != wire.StateStopped || stopped.Step < c.steps/4 || stopped.Step >= c.steps || stopped.Checkpoint != stopped.Step {
				t.Errorf("status after a stop: %+v", stopped)
			}
			if a := s.audit(); len(a.Checkpoints) != 1 || a.Checkpoints[0].Step != stopped.Step {
				t.Errorf("checkpoints %+v, not that of step %d", a.Checkpoints, stopped.Step)
			}
			s.want(s.gramme(up...), 0, fmt.Sprintf("resuming from step %d", stopped.Step))
			s.hasEveryStep(c, s.same(c))
		})
	}
}

// TestInterruptTwice ends a run at once.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newSite(t)
	up := s.up(text(c.steps), "2")
	r := s.start(s.command(up...))
	r.reaches(c.steps / 4)
	// Two signals of one kind may become one: the second waits for the answer to
	// the first.
	for _, answer := range []string{"once more to exit at once", ""} {
		if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		s.until("an answer to the signal", patience, func() bool { return strings.Contains(r.err.String(), answer) })
	}
	s.want(r.wait(), 130, "error: ended at once, without a checkpoint", "hint: the same command resumes")
	s.must(up...)
	s.same(c)
}

// TestDone gives the same command once more after the last step.
func TestDone(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := copyOf(t, c)
	before := contents(t, string(s.run))
	s.want(s.gramme(append(s.up(text(c.steps), "1"), "--minutes", "1")...), 2, "--minutes and --steps both set the length of the run")
	s.want(s.gramme("up", "--run", "run", "--minutes", "1"), 0,
		fmt.Sprintf("note: --minutes is for a new run; this one started with %d steps", c.steps),
		fmt.Sprintf("all %d steps are done", c.steps), "validation: MLM loss ", "speed: ", "checkpoint: run/checkpoints/latest", "energy: ",
		"audit:      ok", "for longer: ", fmt.Sprintf("gramme up --run run-2 --like run --steps %d", 2*c.steps))
	after := contents(t, string(s.run))
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s is not what it was", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, before %d", len(after), len(before))
	}
	if got := s.status(); got.State != wire.StateDone || got.Step != c.steps {
		t.Errorf("status of a run that is done: %+v", got)
	}
	s.same(c)
}

// contents are the files below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
