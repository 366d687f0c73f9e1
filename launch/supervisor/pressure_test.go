package supervisor

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

func TestWhatIsLacking(t *testing.T) {
	crash := func(words string) exit.Ending { return exit.Ending{Manner: exit.Crashed, Words: words} }
	for _, c := range []struct {
		end  exit.Ending
		oom  bool
		want resource
	}{
		{exit.Ending{Manner: exit.Killed}, true, memory},
		{exit.Ending{Manner: exit.Killed}, false, none},
		{crash("SIGSEGV: segmentation violation"), false, none},
		{crash("fatal error: runtime: out of memory"), false, memory},
		{crash("terminate called after throwing an instance of 'std::bad_alloc' what():  std::bad_alloc"), false, memory},
		{crash("libgomp: Thread creation failed: Resource temporarily unavailable"), false, tasks},
		{crash("runtime/cgo: pthread_create failed: Resource temporarily unavailable"), false, tasks},
		{crash("runtime: failed to create new OS thread (have 5 already; errno=11)"), false, tasks},
		{crash("panic: open x: too many open files"), false, files},
		{exit.Ending{Manner: exit.Reported, Report: exit.Report{Code: exit.Resource}, Words: "write x: no space left on device"}, false, space},
		{exit.Ending{Manner: exit.Reported, Report: exit.Report{Code: exit.Resource}, Words: "no such device"}, false, other},
		{exit.Ending{Manner: exit.Reported, Report: exit.Report{Code: exit.Failure}, Words: "no such worker"}, false, none},
	} {
		if got := lacked(c.end, c.oom); got != c.want {
			t.Errorf("%+v: %q, not %q", c.end, got, c.want)
		}
	}
}

// TestPressure lets processes end for want of memory, and time pass.
func TestPressure(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var s pressure
	if s.lasts(at(0)) || s.starves(at(1000), wire.StateWaiting) {
		t.Error("something is lacking from the beginning")
	}
	for i := range tooMany {
		s.note(at(i), memory, "worker w1", exit.Ending{Manner: exit.Killed, Peak: int64(i+1) << 20})
		if s.crowded(at(i)) != (i == tooMany-1) {
			t.Errorf("after %d ends: crowded %t", i+1, s.crowded(at(i)))
		}
	}
	if s.crowded(at(300)) || s.lasts(at(300)) || !s.lasts(at(60)) {
		t.Error("what is long ago counts")
	}
	if s.starves(at(60), wire.StateWaiting) || s.starves(at(200), wire.StateTraining) || !s.starves(at(200), wire.StateWaiting) {
		t.Error("a run starves that waits for long")
	}
	if text := s.text(cgroup.Limits{Memory: &cgroup.Limit{Max: 250 << 20}}); text != "memory is short: the container may have 262 MB, worker w1 held 6 MB when it ended" {
		t.Error(text)
	}
}

// TestKillsOfTheKernel takes those that the kernel counts, each once.
func TestKillsOfTheKernel(t *testing.T) {
	counter, now := uint64(7), time.Now()
	k := oomKills{seen: counter}
	if k.take(counter) {
		t.Error("an older one is taken")
	}
	counter += 2
	k.expire(now, counter) // the ends of these are not known yet
	taken := 0
	for range 3 {
		if k.take(counter) {
			taken++
		}
	}
	if taken != 2 {
		t.Errorf("%d are taken, not 2", taken)
	}
	counter++ // another's
	for i := range 3 {
		k.expire(now.Add(time.Duration(i)*2*oomDelay), counter)
	}
	if k.take(counter) {
		t.Error("one of another process is taken long after")
	}
}
