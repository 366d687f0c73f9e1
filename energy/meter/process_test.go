package meter

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/energy"
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
			var broken atomic.Bool
			sys := newMachine(t).system(t, newMemDisk())
			sys.residentKiB = func() (uint64, error) {
				if broken.Load() {
					return 0, errors.New("no such process")
				}
				return gib, nil
			}
			m := mustOpen(t, options(t, "worker-1", "a", s), sys)
			stop := start(t, m)
			time.Sleep(3*time.Second + time.Millisecond)
			broken.Store(true)
			time.Sleep(9 * time.Second)
			if recovers {
				broken.Store(false)
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

// A device that nobody can meter is a gap from the birth of the process on, which
// is stated early: also by a process that is killed.
func TestAbsentDevice(t *testing.T) {
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{}
			o := options(t, "worker-1", "a", s)
			o.Sources = []Source{Absent("gpu", "no counter of the GPU is read")}
			m := mustOpen(t, o, newMachine(t).system(t, newMemDisk()))
			stop := start(t, m)
			m.Phase(energy.Compute, 1, 7)
			time.Sleep(9 * time.Second)
			stop()
			if !killed {
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			list := check(t, s.records)[meterKey{"worker-1", "a", "gpu"}]
			stated, seconds := gaps(list), 0.0
			for _, g := range stated {
				seconds += g.Seconds()
				if g.Kind != "gpu" || g.Reason != "no counter of the GPU is read" {
					t.Errorf("stated %+v", g)
				}
			}
			if len(stated) == 0 || len(stated) != len(list) || seconds != 9 {
				t.Errorf("killed %v: %v s in %d gaps of %d records, want 9 s", killed, seconds, len(stated), len(list))
			}
			if last := stated[len(stated)-1]; !killed && last.LastStep != 7 {
				t.Errorf("a gap up to step %d, not 7", last.LastStep)
			}
			if joules, _ := m.Totals(); !near(joules, 9*2.375) {
				t.Errorf("%v J", joules)
			}
		})
	}
}

// foreignCounter is a source from elsewhere.
type foreignCounter struct {
	value  uint64
	closed int
}

func (c *foreignCounter) Describe() Description {
	return Description{Meter: "gpu:0", Kind: "gpu", Method: energy.Counter, Scope: energy.Host, Unit: "mJ", Num: 1000, Den: 1, MaxWatts: 900}
}
func (c *foreignCounter) Read() (uint64, error) { return c.value, nil }
func (c *foreignCounter) Close() error          { c.closed++; return fmt.Errorf("close %d", c.closed) }

func TestSourceFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := &service{}, &foreignCounter{value: 77}
		o := options(t, "worker-1", "a", s)
		o.HostCounters, o.Sources = true, []Source{c}
		m := mustOpen(t, o, newMachine(t).system(t, newMemDisk()))
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
