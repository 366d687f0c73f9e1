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

// tree is a powercap tree whose counters follow a script.
type tree struct {
	*host
	zones map[string]*fakeZone // by the end of the folder's name: "0", "0:1"
}

type fakeZone struct {
	name   string
	value  int64
	watts  float64
	broken bool // cannot be read
	gone   bool // the folder is not there
}

func newTree(t *testing.T, zones map[string]*fakeZone) *tree {
	tr := &tree{&host{t: t, m: newMachine(t)}, zones}
	for id, z := range zones {
		z.value = 5_000_000 + int64(id[0]-'0')*1000 // two that show the same are one
	}
	tr.writeZones()
	return tr
}

func (tr *tree) writeZones() {
	for id, z := range tr.zones {
		dir := filepath.Join(tr.m.root, "intel-rapl:"+id)
		if z.gone {
			if err := os.RemoveAll(dir); err != nil {
				tr.t.Fatal(err)
			}
			continue
		}
		tr.m.zone(tr.t, id, z.name, uint64(z.value), smallRange)
		if z.broken {
			if err := os.WriteFile(filepath.Join(dir, "energy_uj"), nil, 0o644); err != nil {
				tr.t.Fatal(err)
			}
		}
	}
}

// second lets one pass, in which the counters go on.
func (tr *tree) second(meters ...*Meter) {
	time.Sleep(time.Second)
	for _, z := range tr.zones {
		z.value = (z.value + int64(z.watts*1e6)) % smallRange
	}
	tr.writeZones()
	for _, m := range meters {
		m.sample(false)
	}
}

// account is what the records of a process say, meter by meter: joules, and gaps.
func (tr *tree) account(process string) (list []string) {
	joules, stated := map[string]float64{}, map[string][]string{}
	for _, r := range tr.s.records {
		s := r.Source()
		if s.Worker != process || s.Meter == "memory" {
			continue
		}
		if r.Gap != nil {
			stated[s.Meter] = append(stated[s.Meter], fmt.Sprintf("%gs: %s", r.Gap.Seconds(), r.Gap.Reason))
			joules[s.Meter] += 0
		} else {
			joules[s.Meter] += energy.Joules(r.Reading.MicroJ)
		}
	}
	for meter, j := range joules {
		line := fmt.Sprintf("%s %g J", meter, j)
		for _, g := range stated[meter] {
			line += " | " + g
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func (tr *tree) expect(process string, want ...string) {
	tr.t.Helper()
	got := tr.account(process)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		pattern := strings.Split(want[i], "*")
		rest := got[i]
		for j, piece := range pattern {
			at := strings.Index(rest, piece)
			if at < 0 || j == 0 && at > 0 {
				ok = false
				break
			}
			rest = rest[at+len(piece):]
		}
		ok = ok && (rest == "" || pattern[len(pattern)-1] == "")
	}
	if !ok {
		tr.t.Errorf("%s:\n%s\nwant\n%s", process, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCountersThatLie runs one process for a minute on hosts whose counters say
// what cannot be. What is booked comes from the next best source, and gaps say why.
// (The process is half busy: 2 W by its estimate.)
func TestCountersThatLie(t *testing.T) {
	pkg := func() *fakeZone { return &fakeZone{name: "package-0", watts: 40} }
	for _, c := range []struct {
		name  string
		zones map[string]*fakeZone
		at    func(second int, zones map[string]*fakeZone)
		want  []string
	}{
		{"psys at zero", map[string]*fakeZone{"0": pkg(), "1": {name: "psys"}}, nil,
			[]string{"cpu 2 J", "rapl:package-0 2360 J", "rapl:psys 0 J | 3s: psys reads 0 W while package-0 reads 40 W: psys is not used"}},
		{"psys below its package", map[string]*fakeZone{"0": pkg(), "1": {name: "psys", watts: 3}}, nil,
			[]string{"cpu 2 J", "rapl:package-0 2360 J", "rapl:psys 0 J | 3s: psys reads 3 W while package-0 reads 40 W: psys is not used"}},
		{"psys that becomes wrong", map[string]*fakeZone{"0": pkg(), "1": {name: "psys", watts: 60}},
			func(second int, z map[string]*fakeZone) {
				if second == 21 {
					z["1"].watts = 3
				}
			},
			// It is believed for 19 s, until the package takes over after 3 s.
			[]string{"cpu 2 J", "rapl:package-0 1480 J", "rapl:psys 1140 J | 3s: psys reads 3 W while package-0 reads 40 W: psys is not used"}},
		{"a guest", map[string]*fakeZone{"0": {name: "package-0"}}, nil,
			[]string{"cpu 120 J", "rapl:package-0 0 J | 3s: the counter stood still at 5000000 for 3.0 s, in which the processors*"}},
		{"two packages, one stands still", map[string]*fakeZone{"0": pkg(), "1": {name: "package-1"}}, nil,
			[]string{"cpu 2 J", "rapl:package-0 2360 J", "rapl:package-1 0 J | 59s: the counter stood still*"}},
		{"a package that stops", map[string]*fakeZone{"0": pkg()},
			func(second int, z map[string]*fakeZone) {
				if second == 21 {
					z["0"].watts = 0
				}
			},
			[]string{"cpu 76 J", "rapl:package-0 760 J | 3s: the counter stood still at*"}},
		{"a jump", map[string]*fakeZone{"0": pkg()},
			func(second int, z map[string]*fakeZone) {
				if second == 30 {
					z["0"].value += 10_000_000_000
				}
			},
			[]string{"cpu 2 J", "rapl:package-0 2320 J | 1s: counter went from*in 1s, more than the device can draw"}},
		{"backwards", map[string]*fakeZone{"0": pkg()},
			func(second int, z map[string]*fakeZone) {
				if second == 30 {
					z["0"].value -= 500_000_000
				}
			},
			[]string{"cpu 2 J", "rapl:package-0 2320 J | 1s: counter went from*in 1s, more than the device can draw"}},
		{"a wrap", map[string]*fakeZone{"0": pkg()},
			func(second int, z map[string]*fakeZone) {
				if second == 1 {
					z["0"].value = smallRange - 1_000_000_000 // the first values are not used
				}
			},
			[]string{"cpu 4 J", "rapl:package-0 2320 J"}},
		{"permission denied after a while", map[string]*fakeZone{"0": pkg()},
			func(second int, z map[string]*fakeZone) { z["0"].broken = second > 20 },
			[]string{"cpu 70 J", "rapl:package-0 760 J | 6s: could not be read*"}},
		{"a package that goes and comes", map[string]*fakeZone{"0": pkg(), "1": {name: "package-1", watts: 30}},
			func(second int, z map[string]*fakeZone) { z["1"].gone = second > 20 && second < 40 },
			// 19 s, then it is away from the look at 20 s to that at 40 s, whose counter goes on.
			[]string{"cpu 2 J", "rapl:package-0 2360 J", "rapl:package-1 1170 J | 6s: could not be read*| 14s: could not be read*"}},
		{"a platform that comes later", map[string]*fakeZone{"0": pkg(), "1": {name: "psys", watts: 60, gone: true}},
			func(second int, z map[string]*fakeZone) { z["1"].gone = second < 10 },
			// New counters are looked for every 30 looks, and used from the second value on.
			[]string{"cpu 2 J", "rapl:package-0 1160 J", "rapl:psys 1800 J"}},
		{"cores that draw more than their package", map[string]*fakeZone{"0": pkg(), "0:0": {name: "core", watts: 90}}, nil,
			[]string{"cpu 120 J", "rapl:package-0 0 J | 3s: package-0 reads 40 W while package-0/core reads 90 W: package-0 is not used"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTree(t, c.zones)
				m := tr.open("w", "run", true)
				for second := range 60 {
					if c.at != nil {
						c.at(second+1, c.zones)
					}
					tr.second(m)
				}
				if err := errors.Join(m.Flush(t.Context()), m.Close()); err != nil {
					t.Fatal(err)
				}
				check(t, tr.s.records)
				tr.expect("w", c.want...)
			})
		})
	}
}

// TestTwoRunsOnOneHost lets two runs overlap for a part of their time. Together
// they are charged for what the counter counted, each second once, and both say who
// was charged.
func TestTwoRunsOnOneHost(t *testing.T) {
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTree(t, map[string]*fakeZone{"0": {name: "package-0", watts: 40}})
			a := tr.open("a", "run-a", true)
			helper := tr.open("a2", "run-a", false) // another process of the run: it may not read counters
			for range 10 {
				tr.second(a, helper)
			}
			b := tr.open("b", "run-b", true)
			for range 20 {
				tr.second(a, helper, b)
			}
			if killed { // its lock is free, its file says still what it said
				for _, bank := range a.sampler.groups {
					bank.release()
				}
				if err := a.register.file.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				tr.close(a)
			}
			for range 10 {
				tr.second(helper, b)
			}
			tr.close(helper, b)
			if killed {
				a.closed = true
				tr.s.records = append(tr.s.records, replay(recorded(t, a), tr.m.now(), "boot", time.Now().Add(-9*time.Second).UnixNano())...)
			}
			check(t, tr.s.records)
			const foreign = ": counters of the host are read by run run-%s, whose account has what was drawn"
			death := ""
			if killed {
				death = " | 1s: the process was killed: nothing was measured after its last sample"
			}
			if !killed {
				tr.expect("a", "cpu 2 J", "rapl:package-0 1160 J")
			} else {
				tr.expect("a", "cpu 2 J", "rapl:package-0 1160 J"+death)
			}
			tr.expect("b", fmt.Sprintf("cpu 0 J | 20s"+foreign+" | 1s: the process that read the counter of the host ended", "a"), "rapl:package-0 360 J")
			tr.expect("a2", fmt.Sprintf("cpu 0 J | 1s: another process began*| 2s: the process that read the counter of the host ended | 8s"+foreign, "b"))

			var drawn, processor int64
			for _, r := range tr.s.records {
				if s := r.Source(); r.Reading != nil && s.Meter == "rapl:package-0" {
					drawn += r.Reading.MicroJ
					if l := r.Reading.Load; l == nil || l.HostNanos == 0 || l.RunNanos > l.HostNanos {
						t.Errorf("a reading of the host without its load: %+v", l)
					} else if s.Run == "run-a" && r.Reading.Start > tr.m.now().boot-28e9 && r.Reading.End < tr.m.now().boot-13e9 && l.Runs["run-b"] == 0 {
						t.Errorf("run a does not say that run b was there: %+v", l)
					}
				} else if r.Gap != nil && r.Gap.CountedBy != "" {
					processor += r.Gap.ProcessorNanos
				}
			}
			// 1 s until the counter has counted, 1 s from one owner to the next.
			if drawn != 38*40_000_000 {
				t.Errorf("both runs are charged for %d µJ", drawn)
			}
			if processor != 10e9+4e9 {
				t.Errorf("%d ns of processor time are stated that another run is charged for", processor)
			}
			if left, _ := filepath.Glob(filepath.Join(tr.m.locks, "*process*")); len(left) != 0 {
				t.Errorf("files stay behind: %v", left)
			}
		})
	}
}

// recorded is the log of a process that was killed.
func recorded(t *testing.T, m *Meter) batch {
	t.Helper()
	b, _, err := m.sys.folder.read(logFile)
	if err != nil {
		t.Fatal(err)
	}
	log, whole := parse(b)
	if whole != len(b) {
		t.Fatalf("%d of %d bytes are whole", whole, len(b))
	}
	return log
}

func TestCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTree(t, map[string]*fakeZone{"0": {name: "package-0", watts: 40}, "0:0": {name: "core", watts: 20}, "1": {name: "psys"}})
		time.AfterFunc(105*time.Millisecond, func() { tr.second() })
		count, still := activeCounters(t.Context(), tr.m.root, 2*time.Second)
		if fmt.Sprint(count, still) != "[package-0] [psys]" {
			t.Errorf("%v count, %v stand still", count, still)
		}
		if count, still := activeCounters(t.Context(), t.TempDir(), time.Second); len(count)+len(still) != 0 {
			t.Errorf("without a tree: %v, %v", count, still)
		}
	})
}
