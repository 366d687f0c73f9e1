package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/energy"
)

func TestFindRAPL(t *testing.T) {
	type zone struct {
		id, name string
		value    uint64
	}
	pkg0, pkg1 := zone{"0", "package-0", 5_000_000}, zone{"1", "package-1", 7_000_000}
	core, uncore, dram := zone{"0:0", "core", 1}, zone{"0:1", "uncore", 2}, zone{"0:2", "dram", 900}
	for _, c := range []struct {
		name  string
		zones []zone
		want  string
	}{
		{"nothing but intel-rapl-mmio", nil, "rapl:package-0"},
		{"a desktop", []zone{pkg0, core, uncore}, "(rapl:package-0/core) (rapl:package-0/uncore) rapl:package-0[core uncore]"},
		{"a server", []zone{pkg0, core, dram, pkg1, {"1:0", "dram", 800}}, "(rapl:package-0/core) rapl:package-0[core] rapl:package-1 rapl:package-0/dram rapl:package-1/dram"},
		{"a laptop", []zone{pkg0, core, dram, {"1", "psys", 3_000_000}}, "(rapl:package-0/core) rapl:package-0[core] rapl:package-0/dram *rapl:psys[package-0 dram]"},
		{"one counter under two names", []zone{pkg0, {"1", "package-0-die-1", 5_000_000}}, "rapl:package-0"},
		{"two counters under one name", []zone{pkg0, {"1", "package-0", 9}}, "rapl:package-0 rapl:package-0@intel-rapl:1"},
		{"something new", []zone{{"0", "tachyons", 1}, {"1", "", 2}}, "rapl:package-0"},
	} {
		m := newMachine(t)
		for _, z := range c.zones {
			m.zone(t, z.id, z.name, z.value, 1<<38)
		}
		// The same counters once more, by another way.
		mmio := filepath.Join(m.root, "intel-rapl-mmio:0")
		if err := os.MkdirAll(mmio, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string]string{"name": "package-0", "max_energy_range_uj": fmt.Sprint(1 << 38)} {
			if err := os.WriteFile(filepath.Join(mmio, file), []byte(content+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var names []string
		for _, s := range findRAPL(m.root, 4) {
			d := s.Describe()
			name := []string{tierPlatform: "*" + d.Meter, tierPackages: d.Meter, tierNone: "(" + d.Meter + ")"}[s.tier]
			if len(s.parts) > 0 {
				for i, part := range s.parts {
					s.parts[i] = part[strings.LastIndexAny(part, ":/")+1:]
				}
				name += fmt.Sprint(s.parts)
			}
			names = append(names, name)
			if d.Range != 1<<38 || d.Scope != energy.Host || d.Method != energy.Counter {
				t.Errorf("%s: %+v", c.name, d)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := findRAPL("/nonexistent", 4); len(got) != 0 {
		t.Errorf("%d counters without a tree", len(got))
	}
}

func TestClaim(t *testing.T) {
	dir := t.TempDir()
	of := func(meter, run string) counterLock {
		return newCounterLock(dir, "boot", meter, holder{Run: run, Process: "w"})
	}
	mine, sibling, stranger := of("rapl", "run"), of("rapl", "run"), of("rapl", "runner")
	state := func() string {
		var names []string
		for _, c := range []counterLock{mine, sibling, stranger} {
			h, held := c.otherHolder()
			if !held {
				h.Run = "-"
			}
			names = append(names, h.Run)
		}
		return strings.Join(names, " ")
	}
	if state() != "- - -" || !mine.tryLock() {
		t.Fatal("a free claim cannot be taken")
	}
	if sibling.tryLock() || stranger.tryLock() || state() != "run run run" {
		t.Errorf("while it is held: %s", state())
	}
	mine.publish([]string{"cpu", "memory"}, 5)
	if h, held := stranger.otherHolder(); !held || !slices.Equal(h.Covers, []string{"cpu", "memory"}) {
		t.Errorf("%+v, %v", h, held)
	}
	mine.publish([]string{"cpu"}, 7)
	if h, held := stranger.otherHolder(); !held || !slices.Equal(h.Covers, []string{"cpu"}) || h.Process != "w" || h.Until != 7 {
		t.Errorf("%+v, %v", h, held)
	}
	mine.release()
	if state() != "- - -" || !stranger.tryLock() || mine.tryLock() || state() != "runner runner runner" {
		t.Errorf("after another run took it: %s", state())
	}
	if other := of("gpu:0", "run"); !other.tryLock() {
		t.Error("another counter's claim cannot be taken")
	}
}

// host is some processes on a machine with a package of 40 W, and no time but
// what passes by tick.
type host struct {
	t      *testing.T
	m      *machine
	energy uint64
	s      service
}

func newHost(t *testing.T) *host {
	h := &host{t: t, m: newMachine(t), energy: smallRange - 60_000_000} // it wraps soon
	h.write()
	return h
}

func (h *host) write() { h.m.zone(h.t, "0", "package-0", h.energy, smallRange) }

func (h *host) open(process, run string, candidate bool) *Meter {
	o := options(h.t, process, "a", &h.s)
	o.Run, o.HostCounters = run, candidate
	return mustOpen(h.t, o, h.m.system(h.t, newMemDisk()))
}

func (h *host) tick(meters ...*Meter) {
	time.Sleep(time.Second)
	h.energy = (h.energy + 40_000_000) % smallRange
	h.write()
	for _, m := range meters {
		m.sample(false)
	}
}

func (h *host) close(meters ...*Meter) {
	h.t.Helper()
	for _, m := range meters {
		if err := m.Flush(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			h.t.Fatal(err)
		}
	}
}

// seconds returns the time that a meter of a process has measured, and its gaps.
func (h *host) seconds(process, meter string) (measured float64, stated []string) {
	h.t.Helper()
	for _, r := range h.s.records {
		if s := r.Source(); s.Worker != process || s.Meter != meter {
			continue
		}
		if r.Gap != nil {
			stated = append(stated, fmt.Sprintf("%gs: %s", r.Gap.Seconds(), r.Gap.Reason))
		} else {
			measured += r.Reading.Seconds()
		}
	}
	return measured, stated
}

func (h *host) expect(process, meter string, measured float64, gaps ...string) {
	h.t.Helper()
	got, stated := h.seconds(process, meter)
	ok := got == measured && len(stated) == len(gaps)
	for i := 0; ok && i < len(gaps); i++ {
		ok = strings.HasPrefix(stated[i], gaps[i])
	}
	if !ok {
		h.t.Errorf("%s, %s: %v s and gaps %q, want %v s and %q", process, meter, got, stated, measured, gaps)
	}
}

func TestOneOwnerOfAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		service := h.open("checkpoint", "run", false) // first, but no candidate
		h.tick(service)
		first := h.open("worker-1", "run", true)
		second := h.open("worker-2", "run", true)
		stranger := h.open("worker-9", "other", true)
		first.Phase(energy.Compute, 1, 1)
		for range 4 {
			h.tick(service, first, second, stranger)
		}
		_, watts := first.Totals()
		if !near(watts, 40.375) {
			t.Errorf("the owner sees %v W", watts)
		}
		if _, watts := second.Totals(); !near(watts, 0.375) {
			t.Errorf("another process of the run sees %v W", watts)
		}
		if _, watts := stranger.Totals(); !near(watts, 0.375) { // of which the owner's run has the processor's
			t.Errorf("a process of another run sees %v W", watts)
		}
		h.close(first) // as the kernel would, it gives up the lock
		for range 3 {
			h.tick(service, second, stranger)
		}
		h.close(service, second, stranger)
		check(t, h.s.records)

		const took, ended = ": another process began to read a counter", ": the process that read"
		h.expect("checkpoint", "cpu", 2, "1s"+took, "3s"+ended) // since the last look of the first that it saw
		h.expect("worker-1", "cpu", 1)                          // until the counter has counted
		h.expect("worker-1", "rapl:package-0", 3)
		h.expect("worker-2", "cpu", 0, "1s"+took)
		h.expect("worker-2", "rapl:package-0", 2, "1s"+ended)
		h.expect("worker-9", "cpu", 0, "7s: counters of the host are read by run run")
		h.expect("worker-9", "rapl:package-0", 0)
		h.expect("checkpoint", "memory", 8)
		for _, r := range h.s.records {
			if r.Reading != nil && r.Source().Meter == "rapl:package-0" && float64(r.Reading.MicroJ) != 40e6*r.Reading.Seconds() {
				t.Errorf("%d µJ in %v s with %d wraps", r.Reading.MicroJ, r.Reading.Seconds(), r.Reading.Wraps)
			}
		}
	})
}

// A counter that breaks is given up, estimates take its place, and when it works
// again it takes theirs.
func TestCounterThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		owner, sibling := h.open("worker-1", "run", true), h.open("worker-2", "run", true)
		for range 3 {
			h.tick(owner, sibling)
		}
		file := filepath.Join(h.m.root, "intel-rapl:0", "energy_uj")
		broken := func() {
			time.Sleep(time.Second)
			if err := os.WriteFile(file, []byte("garbage\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			owner.sample(false)
			sibling.sample(false)
		}
		for range 3 { // shorter than patience: nothing is lost
			broken()
			h.energy += 40_000_000
		}
		h.tick(owner, sibling)
		for range 10 {
			broken()
		}
		for range 4 {
			h.tick(owner, sibling)
		}
		h.close(owner, sibling)
		by := check(t, h.s.records)

		h.expect("worker-1", "rapl:package-0", 2+4+3, "6s: could not be read")
		h.expect("worker-1", "cpu", 1+4+1) // until the counter counted, and until it was read again
		h.expect("worker-2", "rapl:package-0", 0)
		const began = "1s: another process began"
		h.expect("worker-2", "cpu", 3, began, "2s: the process that read the counter", began)
		rapl := by[meterKey{"worker-1", "a", "rapl:package-0"}]
		if !slices.ContainsFunc(rapl, func(r energy.Record) bool {
			return r.Reading != nil && slices.Contains(r.Reading.Quality, energy.QualityBaseline)
		}) {
			t.Error("no reading says that the counter started again")
		}
		if got := microJ(rapl); got != 9*40_000_000 {
			t.Errorf("%d µJ", got)
		}
	})
}

// A meter that never gives anything is a gap too, and so is one that gives
// nothing until a counter takes over.
func TestEstimateThatNeverWorks(t *testing.T) {
	for _, counted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, host := &service{}, newMachine(t)
			sys := host.system(t, newMemDisk())
			sys.residentKiB = func() (uint64, error) { return 0, errors.New("no /proc") }
			o := options(t, "worker-1", "a", s)
			o.HostCounters = true
			host.zone(t, "0", "package-0", 1, smallRange)
			if counted {
				go func() { // there is a counter of the memory from 2 s on
					for i := range uint64(48) {
						time.Sleep(103 * time.Millisecond) // never while it is read
						host.zone(t, "0", "package-0", 1+i*4_000_000, smallRange)
						if i > 20 {
							host.zone(t, "0:0", "dram", 1+i*100_000, smallRange)
						}
					}
				}()
				host.zone(t, "0:0", "dram", 2, smallRange)
				if err := os.Remove(filepath.Join(host.root, "intel-rapl:0:0", "energy_uj")); err != nil {
					t.Fatal(err)
				}
			}
			m := mustOpen(t, o, sys)
			for range 5 {
				time.Sleep(time.Second)
				m.sample(false)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			by := check(t, s.records)
			want := 5.0
			if counted {
				want = 4 // the second look at which it is there shows that it counts
			}
			g := gaps(by[meterKey{"worker-1", "a", "memory"}])
			if len(g) != 1 || g[0].Seconds() != want {
				t.Errorf("counted %v: gaps %+v, want one of %v s", counted, *g[0], want)
			}
		})
	}
}

func TestHostIsNamed(t *testing.T) {
	if Host() == "" || strings.ContainsAny(BootID(), " \n") {
		t.Errorf("host %q, boot %q", Host(), BootID())
	}
}

// TestOneCounterOfTwo has a machine with two packages of 40 W, of which one cannot be
// read for some of two minutes: the other keeps estimates at rest, so that nothing
// stands for the first, and what was not measured is stated.
func TestOneCounterOfTwo(t *testing.T) {
	const all = 120
	for name, c := range map[string]struct {
		from, to int // looks, from that at the start on, at which it cannot be read
		measured float64
		gaps     []string
	}{
		"never":          {0, all + 1, 0, []string{"119s: could not be read"}},
		"not at first":   {0, 30, 89, []string{"30s: could not be read"}},
		"not for a time": {21, 61, 19 + 59, []string{"6s: could not be read", "35s: could not be read"}},
		"not in the end": {101, all + 1, 99, []string{"6s: could not be read", "14s: could not be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				file := filepath.Join(h.m.root, "intel-rapl:1", "energy_uj")
				other := func(look int) {
					h.m.zone(t, "1", "package-1", uint64(1000+look*40_000_000), smallRange)
					if c.from <= look && look < c.to {
						if err := os.WriteFile(file, []byte("garbage\n"), 0o644); err != nil {
							t.Fatal(err)
						}
					}
				}
				other(0)
				m := h.open("w", "run", true)
				for second := range all {
					other(second + 1)
					h.tick(m)
				}
				if err := errors.Join(m.Close(), m.Flush(t.Context())); err != nil {
					t.Fatal(err)
				}
				check(t, h.s.records)
				h.expect("w", "rapl:package-0", all-1)
				h.expect("w", "rapl:package-1", c.measured, c.gaps...)
				h.expect("w", "cpu", 1)
			})
		})
	}
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		text    string
		busy    time.Duration
		threads int
	}{
		{"cpu  100 20 30 9999 888 4 5 777 50 0\ncpu0 50 10 15 1 1 1 1 1 1 0\ncpu1 50 10 15 1 1 1 1 1 1 0\nintr 7 0\n", 1590 * time.Millisecond, 2},
		{"cpu  100 20\n", 0, 0},
		{"cpu  x 20 30 9999 888 4 5 777\n", 0, 0},
		{"cpu  9223372036854775807 20 30 9999 888 4 5 777\n", 0, 0},
		{"", 0, 0},
	} {
		if busy, threads := parseStat([]byte(c.text)); time.Duration(busy) != c.busy || threads != c.threads {
			t.Errorf("%q: %v of %d processors", c.text, time.Duration(busy), threads)
		}
	}
	if hostBusy() == 0 || hostThreads() == 0 {
		t.Error("this host has no processor")
	}
}

func TestLimitOfAPackage(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  float64
	}{
		{nil, 480},
		{map[string]string{"constraint_0_max_power_uw": "15000000"}, 100},
		{map[string]string{"constraint_0_max_power_uw": "125000000", "constraint_1_power_limit_uw": "241000000", "constraint_0_time_window_us": "99999999999"}, 482},
		{map[string]string{"constraint_0_max_power_uw": "0", "constraint_1_max_power_uw": ""}, 480},
		{map[string]string{"constraint_0_power_limit_uw": "4095875000"}, 1000},
	} {
		dir := t.TempDir()
		for name, content := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := maxPowerOf(dir, 8); got != c.want {
			t.Errorf("%v: %v W, want %v", c.files, got, c.want)
		}
	}
}
