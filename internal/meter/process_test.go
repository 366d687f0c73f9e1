package meter

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/energy"
)

// Half a GiB that grows to one and a half within a second is a GiB on average,
// and what a division leaves is not lost, however often memory is looked at.
func TestMemoryIsIntegrated(t *testing.T) {
	for _, looks := range []int64{1, 4, 1024} {
		now, kib := int64(0), uint64(gib/2)
		m := newMemory(func() instant { return instant{boot: now} }, func() (uint64, error) { return kib, nil }, 0.375)
		var raw uint64
		for i := range looks + 1 {
			now, kib = i*1e9/looks, gib/2+uint64(i*gib/looks)
			var err error
			if raw, err = m.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if want := uint64(1024 * 1e6); raw < want-1-uint64(looks) || raw > want {
			t.Errorf("%d looks: %d MiB µs, want %d", looks, raw, want)
		}
		d := m.Describe()
		if uj, _, _ := energy.Scale(raw, d.Num, d.Den, 0); math.Abs(float64(uj)-375_000) > 2 {
			t.Errorf("%d looks: %d µJ, want 0.375 J", looks, uj)
		}
	}
}

func TestNoWattsNoEstimate(t *testing.T) {
	if newProcessor(nil, 0) != nil || newMemory(nil, nil, 0) != nil {
		t.Error("an estimate of nothing")
	}
}

// Size of memory that cannot be read for long is a gap, up to the end.
func TestEstimateThatBreaks(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{}
			var broken error
			sys := newMachine(t).system(newMemDisk())
			sys.residentKiB = func() (uint64, error) { return gib, broken }
			m := mustOpen(t, options(t, "worker-1", "a", s), sys)
			stop := start(t, m)
			time.Sleep(3*time.Second + time.Millisecond)
			broken = errors.New("no such process")
			time.Sleep(9 * time.Second)
			if recovers {
				broken = nil
				time.Sleep(3 * time.Second)
			}
			stop()
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if err := m.Flush(t.Context()); err != nil { // what has been read is sent even then
				t.Fatal(err)
			}
			var lost float64
			list := check(t, s.records)[meterKey{"worker-1", "a", "memory"}]
			for _, g := range gaps(list) {
				lost += g.Seconds()
			}
			want, wantMicroJ := 9.001, int64(3*375_000)
			if recovers {
				want, wantMicroJ = 10, 3*375_000+2*375_000+375
			}
			if math.Abs(lost-want) > 1e-6 || microJ(list) != wantMicroJ {
				t.Errorf("recovers %v: %v s are lost and %d µJ counted, want %v and %d", recovers, lost, microJ(list), want, wantMicroJ)
			}
		})
	}
}

// counter is a source from elsewhere.
type counter struct {
	value  uint64
	closed int
}

func (c *counter) Describe() Description {
	return Description{Meter: "gpu:0", Kind: "gpu", Method: energy.Counter, Scope: energy.Host, Unit: "mJ", Num: 1000, Den: 1, MaxWatts: 900}
}
func (c *counter) Read() (uint64, error) { return c.value, nil }
func (c *counter) Close() error          { c.closed++; return fmt.Errorf("close %d", c.closed) }

func TestSourceFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := &service{}, &counter{value: 77}
		o := options(t, "worker-1", "a", s)
		o.HostCounters, o.Sources = true, []Source{c}
		m := mustOpen(t, o, newMachine(t).system(newMemDisk()))
		time.Sleep(time.Second)
		c.value += 300_000 // 300 J
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		by := check(t, s.records)
		if got := microJ(by[meterKey{"worker-1", "a", "gpu:0"}]); got != 300_000_000 || len(by) != 3 {
			t.Errorf("%d µJ, %d meters", got, len(by))
		}
		if err := m.Close(); err == nil || err.Error() != "close meter: close 1" {
			t.Errorf("close: %v", err)
		}
		if err := m.Close(); err != nil || c.closed != 1 {
			t.Errorf("second close: %v, source closed %d times", err, c.closed)
		}
	})
}

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
	if _, err := Open(o); !errors.Is(err, errHeld) {
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
	if files, err := os.ReadDir(o.Dir); err != nil || len(files) != 2 {
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
	o.Energy.CPUWattsPerCore, o.Energy.RAMWattsPerGB = 4, 0.375
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
