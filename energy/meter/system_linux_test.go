package meter

import (
	"errors"
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// The meter of this very process, against what getrusage says of it.
func TestThisProcess(t *testing.T) {
	s := &service{}
	o := options(t, "test", "a", s)
	o.Host, o.BootID, o.Dir = Host(), BootID(), t.TempDir()+"/energy/test"
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m.Phase(energy.Compute, 1, 1)
	before := cpuSeconds(t)
	x := 1.0
	for cpuSeconds(t) < before+0.2 {
		for range 100_000 {
			x = math.Sqrt(x + 1)
		}
	}
	middle := cpuSeconds(t)
	m.Phase(energy.Idle, 1, 1)
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := cpuSeconds(t)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	parts := map[energy.Phase]float64{}
	for _, r := range check(t, s.records)[meterKey{"test", "a", "cpu"}] {
		for _, p := range r.Reading.Parts {
			parts[p.Phase] += energy.Joules(p.MicroJ)
		}
	}
	total := parts[energy.Compute] + parts[energy.Preparation] + parts[energy.Idle]
	if total < 4*middle-0.1 || total > 4*after+0.1 {
		t.Errorf("the whole: %v J, but %v s of processor time at 4 W", total, after)
	}
	if want := 4 * (middle - before); math.Abs(parts[energy.Compute]-want) > 0.1 {
		t.Errorf("computing: %v J, want about %v", parts[energy.Compute], want)
	}
	for _, r := range check(t, s.records)[meterKey{"test", "a", "memory"}] {
		if got := r.Reading; got.MicroJ <= 0 || energy.Joules(got.MicroJ) > 0.375*4*got.Seconds() {
			t.Errorf("memory: %d µJ in %v s", got.MicroJ, got.Seconds())
		}
	}
	if began := s.records[0].Reading.Start; began >= now().boot || began < now().boot-int64(10*time.Minute) {
		t.Errorf("this process began %v ago", time.Duration(now().boot-began))
	}
}

func TestLogHasOneProcess(t *testing.T) {
	o := options(t, "test", "a", &service{})
	o.Dir = t.TempDir()
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Incarnation = "b"
	if _, err := Open(o); !errors.Is(err, ErrInUse) {
		t.Errorf("a second meter on one log: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, err = Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.pending()); n < 2 {
		t.Errorf("%d records of the first one are there", n)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(o.Dir); err != nil || len(files) != 1 { // no lock stays behind
		t.Errorf("%v, %v", files, err)
	}
}

func cpuSeconds(t testing.TB) float64 {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func openReal(b *testing.B) *Meter {
	o := Options{
		Run: "run", Process: "bench", Incarnation: "a", Host: "host", Dir: b.TempDir(), Send: (&service{}).send,
	}
	o.CPUWattsPerCore, o.RAMWattsPerGB = 4, 0.375
	m, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return m
}

func BenchmarkPhase(b *testing.B) {
	m := openReal(b)
	phases := energy.Phases()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Phase(phases[i%3], 1, uint64(i))
	}
}

// BenchmarkSample is one look at the meters of a process, its fsync included.
func BenchmarkSample(b *testing.B) {
	m := openReal(b)
	b.ReportAllocs()
	for b.Loop() {
		m.sample(false)
	}
}

// TestWhatOthersUsedCounts gives a process the processor time of its children.
func TestWhatOthersUsedCounts(t *testing.T) {
	s := &service{}
	o := options(t, "test", "a", s)
	o.Host, o.BootID, o.Dir, o.Used = Host(), BootID(), t.TempDir(), 100*time.Second
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m.Phase(energy.Idle, 0, 0)
	if err := errors.Join(m.Flush(t.Context()), m.Close()); err != nil {
		t.Fatal(err)
	}
	var prepared float64
	for _, r := range check(t, s.records)[meterKey{"test", "a", "cpu"}] {
		for _, p := range r.Reading.Parts {
			if p.Phase == energy.Preparation {
				prepared += energy.Joules(p.MicroJ)
			}
		}
	}
	if prepared < 400 || prepared > 400+4*cpuSeconds(t) {
		t.Errorf("%v J of preparation, of which 400 are of others", prepared)
	}
}
