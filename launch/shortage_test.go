package launch

import (
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

func TestWhatIsLacking(t *testing.T) {
	crash := func(words string) process.Ending { return process.Ending{Manner: process.Crashed, Words: words} }
	for _, c := range []struct {
		end  process.Ending
		oom  bool
		want lack
	}{
		{process.Ending{Manner: process.Killed}, true, memory},
		{process.Ending{Manner: process.Killed}, false, nothing},
		{crash("SIGSEGV: segmentation violation"), false, nothing},
		{crash("fatal error: runtime: out of memory"), false, memory},
		{crash("terminate called after throwing an instance of 'std::bad_alloc' what():  std::bad_alloc"), false, memory},
		{crash("libgomp: Thread creation failed: Resource temporarily unavailable"), false, tasks},
		{crash("runtime/cgo: pthread_create failed: Resource temporarily unavailable"), false, tasks},
		{crash("runtime: failed to create new OS thread (have 5 already; errno=11)"), false, tasks},
		{crash("panic: open x: too many open files"), false, files},
		{process.Ending{Manner: process.Failed, Report: exit.Report{Code: exit.Resource}, Words: "write x: no space left on device"}, false, space},
		{process.Ending{Manner: process.Failed, Report: exit.Report{Code: exit.Resource}, Words: "no such device"}, false, other},
		{process.Ending{Manner: process.Failed, Report: exit.Report{Code: exit.Failure}, Words: "no such worker"}, false, nothing},
	} {
		if got := lacks(c.end, c.oom); got != c.want {
			t.Errorf("%+v: %q, not %q", c.end, got, c.want)
		}
	}
}

// TestShortage lets processes end for want of memory, and time pass.
func TestShortage(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var s shortage
	if s.now(at(0)) || s.starves(at(1000), wire.StateWaiting) {
		t.Error("something is lacking from the beginning")
	}
	for i := range tooMany {
		s.note(at(i), memory, "worker w1", process.Ending{Manner: process.Killed, Peak: int64(i+1) << 20})
		if s.crowded(at(i)) != (i == tooMany-1) {
			t.Errorf("after %d ends: crowded %t", i+1, s.crowded(at(i)))
		}
	}
	if s.crowded(at(300)) || s.now(at(300)) || !s.now(at(60)) {
		t.Error("what is long ago counts")
	}
	if s.starves(at(60), wire.StateWaiting) || s.starves(at(200), wire.StateTraining) || !s.starves(at(200), wire.StateWaiting) {
		t.Error("a run starves that waits for long")
	}
	if text := s.text(cgroup.Limits{Memory: &cgroup.Limit{Max: 250 << 20}}); text != "memory is short: the container may have 262 MB, worker w1 held 6 MB when it ended" {
		t.Error(text)
	}
}

// TestKillsOfTheKernel claims those that the kernel counts, each once.
func TestKillsOfTheKernel(t *testing.T) {
	counter, now := uint64(7), time.Now()
	k := newOOMKills(func() uint64 { return counter })
	if k.claim() {
		t.Error("one of before is claimed")
	}
	counter += 2
	k.forget(now) // the ends of these are not known yet
	claimed := 0
	for range 3 {
		if k.claim() {
			claimed++
		}
	}
	if claimed != 2 {
		t.Errorf("%d are claimed, not 2", claimed)
	}
	counter++ // another's
	for i := range 3 {
		k.forget(now.Add(time.Duration(i) * 2 * late))
	}
	if k.claim() {
		t.Error("one of another process is claimed long after")
	}
}

// TestFewerWorkersWhereTheyFit lets the kernel kill one worker again and again: a run that
// may have fewer goes on without it, another ends.
func TestFewerWorkersWhereTheyFit(t *testing.T) {
	for _, workers := range []runspec.Workers{{Min: 1, Max: 2}, {Min: 2, Max: 2}} {
		t.Run(workers.String(), func(t *testing.T) {
			t.Parallel()
			x := newTrial(t)
			x.options.Spec.Workers = workers
			x.options.hurry = firstPause
			kills := uint64(0)
			x.options.limits = func() cgroup.Limits {
				kills++ // as if the kernel did nothing else
				return cgroup.Limits{OOMKills: kills, Memory: &cgroup.Limit{Max: 250 << 20}}
			}
			told := make(chan string, 100)
			x.options.Tell = func(text string) { told <- text }
			x.begin()
			x.status(wire.Status{State: wire.StateWaiting})
			if err := x.write("w2.kill", "yes"); err != nil {
				t.Fatal(err)
			}
			if workers.Min == 2 {
				if err := x.end(); exit.Code(err) != exit.Resource || !strings.Contains(err.Error(), "the container may have 262 MB, worker w2 held ") || !strings.Contains(exit.Hint(err), "memory") {
					t.Errorf("code %d: %v; hint %s", exit.Code(err), err, exit.Hint(err))
				}
				if starts := len(x.pids("w2")); starts != mostScarce {
					t.Errorf("%d starts", starts)
				}
				return
			}
			x.until("the worker is left out", func() bool {
				select {
				case text := <-told:
					return strings.HasPrefix(text, "worker w2 is left out, 1 of 2 workers go on: memory is short")
				default:
					return false
				}
			})
			x.stored()
			if err := x.end(); err != nil {
				t.Error(err)
			}
			if starts := len(x.pids("w2")); starts != roomForFewer {
				t.Errorf("%d starts", starts)
			}
		})
	}
}
