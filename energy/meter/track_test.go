package meter

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

func testTrack(d Description) *track {
	if d.Num == 0 {
		d.Num, d.Den = 1, 1
	}
	d.Method, d.Scope = energy.Counter, energy.Host
	return &track{desc: d, source: energy.Source{Worker: "w", Incarnation: "i", Host: "h", Meter: "m", Kind: "cpu"}}
}

func at(seconds float64) instant { n := int64(seconds * 1e9); return instant{boot: n, wall: n + 1e18} }

// A process changes its phase at random; a meter of processor time and one of
// energy, which wraps, are looked at at random and sometimes fail. Whatever
// happens, integers are conserved, and each phase gets what an account that
// notes every single nanosecond gives it.
func TestConservation(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		exact := testTrack(Description{ProcessorTime: true, Num: r.Uint64N(9000) + 1, Den: 1_000_000 + r.Uint64N(1000)})
		shared := testTrack(Description{Range: 1 << 44, Num: 1, Den: 1000}) // nJ

		type key struct {
			phase      energy.Phase
			generation uint64
		}
		nanos, busyNanos := map[key]int64{}, map[key]uint64{}
		steps := map[key][2]uint64{}
		boot, busy, joules := int64(1e9), uint64(5e9), uint64(1<<44-9e9)
		startBusy, drawn := busy, uint64(0)
		now := key{energy.Preparation, 0}
		step := uint64(0)
		line := newTimeline(boot, busy, now.phase)
		exact.start(instant{boot: boot, wall: boot}, busy, "")
		shared.start(instant{boot: boot, wall: boot}, joules, "")
		var records, sharedRecords []energy.Record
		looks := 0
		for range 3000 {
			dt := r.Int64N(3e6)
			db := uint64(r.Int64N(4 * (dt + 1)))
			boot, busy = boot+dt, busy+db
			drawn += 2 * uint64(dt) // 2 W
			joules = (joules + 2*uint64(dt)) % (1 << 44)
			nanos[now] += dt
			busyNanos[now] += db
			if dt == 0 && db == 0 {
				continue
			} else if s, ok := steps[now]; ok {
				steps[now] = [2]uint64{min(s[0], step), max(s[1], step)}
			} else {
				steps[now] = [2]uint64{step, step}
			}
			if r.IntN(4) > 0 {
				now = key{energy.Phases()[r.IntN(10)], uint64(r.IntN(4))}
				step++
				line.change(boot, busy, now.phase, now.generation, step)
				continue
			}
			slots := line.cut(boot, busy)
			looks++
			if r.IntN(5) == 0 {
				exact.queueSlots(slots)
			} else {
				records = append(records, exact.observe(instant{boot: boot, wall: boot}, busy, slots)...)
			}
			if r.IntN(5) == 0 {
				shared.queueSlots(slots)
			} else {
				sharedRecords = append(sharedRecords, shared.observe(instant{boot: boot, wall: boot}, joules, slots)...)
			}
			if r.IntN(10) == 0 {
				records = append(records, exact.finish()...)
				sharedRecords = append(sharedRecords, shared.finish()...)
			}
		}
		slots := line.cut(boot, busy)
		records = append(records, exact.observe(instant{boot: boot, wall: boot}, busy, slots)...)
		records = append(records, exact.stop(instant{boot: boot, wall: boot}, "")...)
		sharedRecords = append(sharedRecords, shared.observe(instant{boot: boot, wall: boot}, joules, slots)...)
		sharedRecords = append(sharedRecords, shared.stop(instant{boot: boot, wall: boot}, "")...)

		wantTotal := new(big.Int).SetUint64(busy - startBusy)
		wantTotal.Mul(wantTotal, new(big.Int).SetUint64(exact.desc.Num)).Div(wantTotal, new(big.Int).SetUint64(exact.desc.Den))
		for _, m := range []struct {
			name    string
			records []energy.Record
			total   int64
			share   func(key) float64
			slack   float64
		}{
			{"exact", records, wantTotal.Int64(), func(k key) float64 {
				return float64(busyNanos[k]) * float64(exact.desc.Num) / float64(exact.desc.Den)
			}, float64(2 * looks)},
			{"shared", sharedRecords, int64(drawn / 1000), func(k key) float64 {
				return float64(nanos[k]) * 2 / 1000 // the power is constant, so dividing by time is right
			}, float64(2 * looks)},
		} {
			check(t, m.records)
			if got := microJ(m.records); got != m.total {
				t.Fatalf("seed %d, %s: %d µJ, want %d", seed, m.name, got, m.total)
			}
			gotNanos, gotMicroJ := map[key]int64{}, map[key]int64{}
			gotSteps := map[key][2]uint64{}
			for _, rec := range m.records {
				for _, p := range rec.Reading.Parts {
					k := key{p.Phase, p.Generation}
					if s, ok := gotSteps[k]; ok {
						gotSteps[k] = [2]uint64{min(s[0], p.FirstStep), max(s[1], p.LastStep)}
					} else {
						gotSteps[k] = [2]uint64{p.FirstStep, p.LastStep}
					}
					gotNanos[k] += p.Nanos
					gotMicroJ[k] += p.MicroJ
				}
			}
			for k, n := range nanos {
				if gotNanos[k] != n {
					t.Errorf("seed %d, %s, %v: %d ns, want %d", seed, m.name, k, gotNanos[k], n)
				}
				if d := float64(gotMicroJ[k]) - m.share(k); d > m.slack || d < -m.slack {
					t.Errorf("seed %d, %s, %v: %d µJ, want %.0f", seed, m.name, k, gotMicroJ[k], m.share(k))
				}
				if n > 0 && gotSteps[k] != steps[k] {
					t.Errorf("seed %d, %s, %v: steps %v, want %v", seed, m.name, k, gotSteps[k], steps[k])
				}
			}
		}
	}
}

func TestLook(t *testing.T) {
	const wrap = 65_532_610_987 // µJ
	rapl := Description{Range: wrap, MaxWatts: maxDeviceWatts}
	for _, c := range []struct {
		name          string
		desc          Description
		from, to      uint64
		after         time.Duration
		microJ, wraps int64
		gap           string
	}{
		{name: "rise", desc: rapl, from: 100, to: 300_000_100, after: time.Second, microJ: 300_000_000},
		{name: "stands", desc: rapl, from: 100, to: 100, after: time.Second},
		{name: "wrap", desc: rapl, from: wrap - 10, to: 20, after: time.Second, microJ: 30, wraps: 1},
		{name: "wrap at the range itself", desc: rapl, from: wrap, to: 0, after: time.Second, wraps: 1},
		{name: "reset that looks like a wrap", desc: rapl, from: 1_000_000, to: 20, after: time.Second, gap: "more than the device can draw"},
		{name: "leap", desc: rapl, from: 0, to: 2_000_000_000, after: time.Second, gap: "more than the device can draw"},
		{name: "suspended for too long", desc: rapl, from: 0, to: 10_000, after: time.Minute, gap: "may have wrapped unseen"},
		{name: "fall without a range", desc: Description{}, from: 500, to: 400, after: time.Second, gap: "counter fell from 500 to 400"},
		{name: "before a range that is a lie", desc: Description{Range: 300}, from: 500, to: 200, after: time.Second, gap: "counter fell from 500 to 200"},
		{name: "overflow", desc: Description{Num: 1 << 40, Den: 1}, from: 0, to: 1 << 60, after: time.Second, gap: "overflows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := testTrack(c.desc)
			k.start(at(1), c.from, "")
			later := at(1 + c.after.Seconds())
			slots := []slot{{phase: energy.Compute, firstStep: 4, lastStep: 7, nanos: uint64(c.after)}}
			done := k.observe(later, c.to, slots)
			// It goes on from there whatever happened.
			done = append(done, k.observe(at(2+c.after.Seconds()), c.to+1, []slot{{phase: energy.Idle, nanos: 1e9}})...)
			done = append(done, k.finish()...)
			check(t, done)
			if c.gap == "" {
				r := done[0].Reading
				if len(done) != 1 || r.Wraps != uint64(c.wraps) {
					t.Fatalf("got %d records, %d wraps", len(done), r.Wraps)
				}
				if r.MicroJ != c.microJ+1 || len(r.Parts) != 2 {
					t.Errorf("%d µJ in %v", r.MicroJ, r.Parts)
				}
				if slices.Contains(r.Quality, energy.QualityWrapped) != (c.wraps > 0) || !slices.Contains(r.Quality, energy.QualityApportioned) {
					t.Errorf("quality %v", r.Quality)
				}
				return
			}
			if len(done) != 2 || done[0].Gap == nil || done[1].Reading == nil {
				t.Fatalf("records %+v", done)
			}
			if g := done[0].Gap; !strings.Contains(g.Reason, c.gap) || g.Start != 1e9 || g.End != later.boot || g.FirstStep != 4 || g.LastStep != 7 {
				t.Errorf("gap %+v", g)
			}
			if r := done[1].Reading; r.RawStart != c.to || !slices.Equal(r.Quality, []string{energy.QualityBaseline}) {
				t.Errorf("reading %+v", r)
			}
		})
	}
}

// A look that fails leaves its time to the next one, which has its energy.
func TestMiss(t *testing.T) {
	k := testTrack(Description{})
	k.start(at(0), 1000, "")
	k.observe(at(1), 1100, []slot{{phase: energy.Compute, nanos: 1e9}})
	k.queueSlots([]slot{{phase: energy.Waiting, nanos: 1e9}})
	done := k.finish() // up to what was seen
	k.queueSlots([]slot{{phase: energy.Waiting, nanos: 1e9}})
	k.observe(at(4), 1400, []slot{{phase: energy.Compute, nanos: 1e9}})
	done = append(done, k.finish()...)
	check(t, done)
	if len(done) != 2 || done[0].Reading.MicroJ != 100 || done[1].Reading.MicroJ != 300 {
		t.Fatalf("records %+v", done)
	}
	want := []energy.Part{
		{Phase: energy.Waiting, MicroJ: 200, Nanos: 2e9},
		{Phase: energy.Compute, MicroJ: 100, Nanos: 1e9},
	}
	if !slices.Equal(done[1].Reading.Parts, want) {
		t.Errorf("parts %+v", done[1].Reading.Parts)
	}
}

func TestSpacing(t *testing.T) {
	for _, c := range []struct {
		age     time.Duration
		backlog int
		want    time.Duration
	}{
		{0, 0, 500 * time.Millisecond},
		{2 * time.Second, 511, 500 * time.Millisecond},
		{20 * time.Second, 0, 9500 * time.Millisecond},
		{time.Minute, 511, 29500 * time.Millisecond},
		{24 * time.Hour, 0, 29500 * time.Millisecond},
		{0, 512, 1500 * time.Millisecond},
		{0, 5120, 1024*time.Second - 500*time.Millisecond},
	} {
		if got := spacing(time.Second, c.age, c.backlog); got != c.want {
			t.Errorf("age %s, backlog %d: %s, want %s", c.age, c.backlog, got, c.want)
		}
	}
}
