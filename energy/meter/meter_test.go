package meter

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// start runs a meter; the returned function ends that and waits.
func start(t *testing.T, m *Meter) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-3 }

func TestRunWhileTheServiceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{down: errors.New("no responders")}
		var l lines
		o := options(t, "worker-1", "a", s)
		o.Log = l.log
		m := mustOpen(t, o, newMachine(t).system(t, newMemDisk()))
		stop := start(t, m)

		m.Phase(energy.Compute, 3, 10)
		time.Sleep(10 * time.Second)
		m.Phase(energy.Communication, 3, 10)
		time.Sleep(20*time.Second + 100*time.Millisecond)
		if n := s.count(); n < 5 || n > 15 || len(l.list()) != 1 {
			t.Errorf("%d attempts and %d lines in 30 s, want back-off and one line", n, len(l.list()))
		}
		if joules, watts := m.Totals(); !near(watts, 2.375) || math.Abs(joules-30*2.375) > 3 {
			t.Errorf("%v J, %v W", joules, watts)
		}
		s.set(nil)
		time.Sleep(5 * time.Second) // the longest wait
		if n := len(s.all()); n < 10 {
			t.Errorf("%d records have arrived", n)
		}
		stop()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		by := check(t, s.records)
		if len(by) != 2 || s.twice != 0 {
			t.Errorf("%d meters, %d records twice", len(by), s.twice)
		}
		phases := map[energy.Phase]int64{}
		for _, records := range by {
			if g := gaps(records); len(g) > 0 {
				t.Errorf("gap %+v", g[0])
			}
			for _, r := range records {
				for _, p := range r.Reading.Parts {
					phases[p.Phase] += p.MicroJ
				}
			}
		}
		if phases[energy.Compute] != 23_750_000 || phases[energy.Communication] != 59_612_500 || phases[energy.Preparation] != 0 {
			t.Errorf("phases %v", phases)
		}
		if joules, _ := m.Totals(); !near(joules, float64(phases[energy.Compute]+phases[energy.Communication])/1e6) {
			t.Errorf("total %v J is not the sum of the phases", joules)
		}
	})
}

// Records become fewer when they cannot be sent, and nothing is lost by that.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{down: errors.New("away")}
		d := newMemDisk()
		m := mustOpen(t, options(t, "worker-1", "a", s), newMachine(t).system(t, d))
		stop := start(t, m)
		time.Sleep(6 * time.Hour)
		if n := len(m.pending()); n < 500 || n > 1500 {
			t.Errorf("%d records wait after six hours", n)
		}
		if size := d.size(); size > 4<<20 {
			t.Errorf("the log has %d bytes", size)
		}
		s.set(nil)
		stop()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, records := range check(t, s.records) {
			sum += microJ(records)
		}
		if want := int64(6 * 3600 * 2_375_000); sum != want {
			t.Errorf("%d µJ, want %d", sum, want)
		}
		m.sample(false) // trims the log
		if size := d.size(); size > logSlack {
			t.Errorf("the log has %d bytes after all is acknowledged", size)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A ledger of hours is not one of every second: an hour of a process that changes
// its phase all the time takes few records, and not one joule less.
func TestAnHourTakesFewRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		m := mustOpen(t, options(t, "worker-1", "a", s), newMachine(t).system(t, newMemDisk()))
		stop := start(t, m)
		for step := range uint64(36_000) {
			m.Phase(energy.Compute, 1, 1+step)
			time.Sleep(70 * time.Millisecond)
			m.Phase(energy.Communication, 1, 1+step)
			time.Sleep(30 * time.Millisecond)
		}
		stop()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sum int64
		for k, records := range check(t, s.records) {
			sum += microJ(records)
			if n := len(records); n > 140 {
				t.Errorf("%s: %d records of an hour", k.meter, n)
			}
			for _, r := range records {
				if r.Reading.Seconds() > 31 {
					t.Errorf("a reading of %v s", r.Reading.Seconds())
				}
			}
		}
		if want := int64(3600 * 2_375_000); sum != want {
			t.Errorf("%d µJ, want %d", sum, want)
		}
	})
}

// What a generation cost is told within a look of its end, so that work which was
// lost with it can be told from what came after.
func TestAReadingEndsWithItsGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		m := mustOpen(t, options(t, "worker-1", "a", s), newMachine(t).system(t, newMemDisk()))
		stop := start(t, m)
		m.Phase(energy.Compute, 1, 1)
		time.Sleep(5*time.Minute + 500*time.Millisecond)
		m.Phase(energy.Compute, 2, 1)
		changed := time.Now().UnixNano()
		time.Sleep(5 * time.Minute)
		stop()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, s.records)
		for _, r := range s.records {
			for _, p := range r.Reading.Parts {
				if late := time.Duration(r.Reading.WallEnd - changed); p.Generation == 1 && late > time.Second {
					t.Errorf("generation 1 stands in a reading that ends %v after it: %+v", late, r.Reading.Parts)
				}
			}
		}
	})
}

func TestFlushGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{down: errors.New("no responders")}
		m := mustOpen(t, options(t, "worker-1", "a", s), newMachine(t).system(t, newMemDisk()))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := m.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 are not acknowledged") || !strings.Contains(err.Error(), "no responders") {
			t.Errorf("error %v", err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What one incarnation could not send, the next one does, and says what a kill
// has cost.
func TestNextIncarnation(t *testing.T) {
	for _, killed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{down: errors.New("away")}
			d, host := newMemDisk(), newMachine(t)
			first := mustOpen(t, options(t, "worker-1", "a", s), host.system(t, d))
			first.Phase(energy.Compute, 1, 5)
			time.Sleep(300 * time.Millisecond)
			stop := start(t, first)
			time.Sleep(9*time.Second + 300*time.Millisecond)
			if killed {
				d = memDisk{d.Crash(memfs.KeepAll)}
				defer stop()
			} else {
				stop()
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour) // of the machine, not of the process
			s.set(nil)
			second := mustOpen(t, options(t, "worker-1", "b", s), host.system(t, d))
			if err := second.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
			old := slices.DeleteFunc(slices.Clone(s.records), func(r energy.Record) bool { return r.Source().Incarnation != "a" })
			for k, records := range check(t, old) {
				want, wantGaps := 9.6, 0
				if killed {
					want, wantGaps = 9.3, 1
				}
				watts := map[string]float64{"cpu": 2e6, "memory": 0.375e6}[k.meter]
				if got := float64(microJ(records)); math.Abs(got-want*watts) > 1 {
					t.Errorf("killed %v: %s: %v µJ, want %v", killed, k.meter, got, want*watts)
				}
				g := gaps(records)
				if len(g) != wantGaps {
					t.Fatalf("killed %v: %s: %d gaps", killed, k.meter, len(g))
				}
				if killed && (g[0].Seconds() != 1 || g[0].FirstStep != 5 || g[0].LastStep != 5) {
					t.Errorf("gap %+v", g[0])
				}
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		d, host := newMemDisk(), newMachine(t)
		o := options(t, "worker-1", "a", s)
		var l lines
		o.Log = l.log
		m := mustOpen(t, o, host.system(t, d))
		stop := start(t, m)
		full := func(op memfs.Op) error {
			if op.Kind == "write" {
				return errFull
			}
			return nil
		}
		time.Sleep(5*time.Second + time.Millisecond)
		d.Hook(full)
		time.Sleep(20 * time.Second)
		if n := len(s.all()); n != 12 { // after 1, 2, 3, 5, 8 and 14 s
			t.Errorf("%d records sent without a disk", n)
		}
		d.Hook(nil)
		time.Sleep(sendBackoff.Longest)
		if lines := l.list(); len(lines) != 2 || !strings.Contains(lines[0], "memory only") || !strings.Contains(lines[1], "again") {
			t.Errorf("lines %q", lines)
		}

		// Killed while there is neither a disk nor a service, the process loses
		// what it had in memory. The time of that is stated, however long.
		s.set(errors.New("away"))
		d.Hook(full)
		time.Sleep(20 * time.Second)
		killed := memDisk{d.Crash(memfs.KeepAll)}
		stop()
		time.Sleep(time.Hour)
		other := &service{}
		next := mustOpen(t, options(t, "worker-1", "b", other), host.system(t, killed))
		if err := next.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range other.records {
			if r.Gap != nil && r.Gap.Incarnation == "a" {
				n++
				if r.Gap.Seconds() != 21 {
					t.Errorf("gap of %v s", r.Gap.Seconds())
				}
			}
		}
		if n != 2 {
			t.Errorf("%d gaps", n)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{down: errors.New("away")}
		d, host := newMemDisk(), newMachine(t)
		m := mustOpen(t, options(t, "worker-1", "a", s), host.system(t, d))
		time.Sleep(time.Second)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		for want, change := range map[string]func(*Options){
			"every start needs another": func(o *Options) {},
			"this is run other":         func(o *Options) { o.Run, o.Incarnation = "other", "b" },
		} {
			o := options(t, "worker-1", "a", s)
			change(&o)
			sys := host.system(t, d)
			if _, err := open(o, sys); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
			if err := sys.folder.close(); err != nil {
				t.Error(err)
			}
		}
		for want, change := range map[string]func(*Options){
			"not named":   func(o *Options) { o.Process = "" },
			"no folder":   func(o *Options) { o.Dir = "" },
			"nowhere":     func(o *Options) { o.Send = nil },
			"is negative": func(o *Options) { o.Interval = -1 },
		} {
			o := options(t, "worker-1", "a", s)
			change(&o)
			if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	})
}

func TestUnknownPhaseIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		m := mustOpen(t, options(t, "worker-1", "a", s), newMachine(t).system(t, newMemDisk()))
		m.Phase(energy.Evaluation, 1, 1)
		m.Phase("lunch", 1, 1)
		time.Sleep(time.Second)
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.records {
			if p := r.Reading.Parts; len(p) != 1 || p[0].Phase != energy.Evaluation {
				t.Errorf("parts %+v", p)
			}
		}
		if len(s.records) != 2 {
			t.Errorf("%d records", len(s.records))
		}
	})
}
