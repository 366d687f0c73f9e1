package meter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// desk is the counters of a machine with one package, as findRAPL gives them.
func desk() plausibility {
	p := plausibility{patience: 5 * time.Second}
	zone := func(meter string, watts float64, parts ...string) {
		p.add(counterFacts{desc: Description{Meter: meter, Range: 262_143_328_850, Num: 1, Den: 1, MaxWatts: watts}, parts: parts})
	}
	zone("rapl:package-0/core", maxDeviceWatts)
	zone("rapl:package-0", 400, "rapl:package-0/core")
	zone("rapl:package-0/dram", maxDeviceWatts)
	zone("rapl:psys", maxDeviceWatts, "rapl:package-0", "rapl:package-0/dram")
	return p
}

// TestPlausible tells, second by second, what four counters read, and compares
// what is thought of them.
func TestPlausible(t *testing.T) {
	const pkg, psys = 1, 3
	normal := [4]float64{30, 40, 5, 60} // watts
	type look struct {
		watts [4]float64
		jump  [4]int64 // µJ beside that
		gone  [4]bool  // cannot be read
		busy  float64  // processor seconds of the host, 1 where it is 0; none where it is below 0
	}
	for _, c := range []struct {
		name    string
		seconds int
		at      func(second int) look
		want    []string
	}{
		{"all is well", 200, func(int) look { return look{watts: normal} },
			[]string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted"}},
		{"psys stands at 0 from the start", 30, func(int) look { return look{watts: [4]float64{30, 40, 5, 0}} },
			[]string{"1 core trusted", "1 package-0 trusted", "1 dram trusted",
				"3 psys caught: psys reads 0 W while package-0 and package-0/dram read 45 W: psys is not used"}},
		{"psys reads 3 W", 30, func(int) look { return look{watts: [4]float64{30, 40, 5, 3}} },
			[]string{"1 core trusted", "1 package-0 trusted", "1 dram trusted",
				"3 psys caught: psys reads 3 W while"}},
		{"psys becomes wrong, and right again", 200, func(s int) look {
			if s > 20 && s <= 40 {
				return look{watts: [4]float64{30, 40, 5, 3}}
			}
			return look{watts: normal}
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted",
			"23 psys caught: psys reads 3 W while package-0 and package-0/dram read 45 W: psys is not used", "101 psys trusted"}},
		{"a guest whose counters stand still", 30, func(int) look { return look{} },
			[]string{"3 core caught: the counter stood still", "3 package-0 caught: the counter stood still at 5000000 for 3.0 s, in which the processors of the host worked for 3.0 s",
				"3 dram caught: the counter stood still", "3 psys caught: the counter stood still"}},
		{"an idle host", 60, func(int) look { return look{busy: -1} }, nil},
		{"idle, then busy", 60, func(s int) look {
			if s < 30 {
				return look{busy: -1}
			}
			return look{watts: normal}
		}, []string{"30 core trusted", "30 package-0 trusted", "30 dram trusted", "30 psys trusted"}},
		{"a core that reads more than its package", 30, func(int) look { return look{watts: [4]float64{70, 40, 5, 120}} },
			[]string{"1 core trusted", "1 dram trusted", "1 psys trusted", "3 package-0 caught: package-0 reads 40 W while package-0/core reads 70 W: package-0 is not used"}},
		{"one jump", 30, func(s int) look {
			if s == 10 {
				return look{watts: normal, jump: [4]int64{pkg: 10_000_000_000}}
			}
			return look{watts: normal}
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted",
			"10 package-0 refused: counter went from 365000000 to 10405000000 in 1s, more than the device can draw"}},
		{"a jump every ten seconds", 60, func(s int) look {
			if s%10 == 0 && s > 0 {
				return look{watts: normal, jump: [4]int64{pkg: 10_000_000_000}}
			}
			return look{watts: normal}
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted",
			"10 package-0 refused", "20 package-0 refused", "30 package-0 caught: 3 values within a minute that cannot be",
			"40 package-0 refused", "50 package-0 refused"}},
		{"backwards", 15, func(s int) look {
			if s == 10 {
				return look{watts: normal, jump: [4]int64{psys: -300_000_000}}
			}
			return look{watts: normal}
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted", "10 psys refused: counter went from"}},
		{"gone for a while", 40, func(s int) look {
			l := look{watts: normal}
			l.gone[psys] = s >= 10 && s < 20
			return l
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted",
			"15 psys caught: could not be read: permission denied", "20 psys trusted"}},
		{"gone for a moment", 40, func(s int) look {
			l := look{watts: normal}
			l.gone[psys] = s >= 10 && s < 14
			return l
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted"}},
		{"an update that is late", 40, func(s int) look {
			l := look{watts: normal}
			switch s {
			case 10, 11:
				l.watts[psys] = 0
			case 12:
				l.watts[psys] = 180
			}
			return l
		}, []string{"1 core trusted", "1 package-0 trusted", "1 dram trusted", "1 psys trusted"}},
	} {
		p := desk()
		raw := [4]int64{5_000_000, 5_000_000, 5_000_000, 5_000_000}
		busy := int64(0)
		var got []string
		before := [4]trust{}
		names := [4]string{"core", "package-0", "dram", "psys"}
		for second := range c.seconds {
			l := c.at(second)
			o := observation{awake: int64(second)*1e9 + 1e12, values: make([]value, 4)}
			if l.busy == 0 {
				l.busy = 1
			}
			busy += int64(max(0, l.busy) * 1e9)
			o.busy = busy
			for i := range raw {
				if second > 0 {
					raw[i] += int64(l.watts[i]*1e6) + l.jump[i]
				}
				if o.values[i].raw = uint64(raw[i]); l.gone[i] {
					o.values[i].err = errors.New("permission denied")
				}
			}
			for i, v := range p.observe(o) {
				switch {
				case v.lostTrust:
					got = append(got, fmt.Sprintf("%d %s caught: %s", second, names[i], v.reason))
				case v.outcome == rejected:
					got = append(got, fmt.Sprintf("%d %s refused: %s", second, names[i], v.reason))
				case v.trust == trusted && before[i] != trusted:
					got = append(got, fmt.Sprintf("%d %s trusted", second, names[i]))
				}
				before[i] = v.trust
			}
		}
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// A wrap whose range is known loses nothing, however the looks fall.
func TestWrapsAreExact(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		d := Description{Range: smallRange, Num: 1, Den: 1, MaxWatts: 500}
		p := plausibility{patience: 5 * time.Second}
		p.add(counterFacts{desc: d})
		tr := testTrack(d)
		raw, drawn, clock := uint64(smallRange)-5_000_000, int64(0), int64(1e9)
		p.observe(observation{awake: clock, values: []value{{raw: raw}}})
		tr.start(instant{boot: clock, wall: clock}, raw, "")
		for range 2000 {
			step := 1 + r.Int64N(5e9)
			joules := int64(float64(step) / 1e9 * (1 + 400*r.Float64()) * 1e6)
			clock, drawn = clock+step, drawn+joules
			raw = (raw + uint64(joules)) % smallRange
			v := p.observe(observation{awake: clock, values: []value{{raw: raw}}})[0]
			at := instant{boot: clock, wall: clock}
			if v.outcome == rejected {
				t.Fatalf("seed %d: refused: %s", seed, v.reason)
			}
			tr.observe(at, raw, []slot{{phase: energy.Compute, nanos: uint64(step)}})
		}
		if tr.microJ != drawn {
			t.Errorf("seed %d: %d µJ, want %d", seed, tr.microJ, drawn)
		}
	}
}

// FuzzPlausible lets counters read whatever a fuzzer likes. Whatever that is, no
// amount is negative, and no meter is booked more than it can draw in the time.
func FuzzPlausible(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 100, 50, 0, 0, 0, 255})
	f.Add([]byte(strings.Repeat("\x01\x00\x10\x20\x08\x40", 40)))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := desk()
		raw := [4]uint64{5e6, 5e6, 5e6, 5e6}
		var booked [4]int64
		tracks := [4]*track{}
		for i := range tracks {
			tracks[i] = testTrack(p.counters[i].desc)
		}
		clock, busy, start := int64(1e12), int64(0), int64(1e12)
		looks := int64(0)
		for len(script) >= 6 {
			clock += 1 + int64(script[0])*20e6
			busy += int64(script[1]) * 20e6
			o := observation{awake: clock, busy: busy, values: make([]value, 4)}
			for i := range raw {
				b := script[2+i]
				switch {
				case b == 255:
					o.values[i].err = errors.New("gone")
				case b >= 250:
					raw[i] -= uint64(b) << (3 * b % 60)
				case b >= 240:
					raw[i] += uint64(b) << (3 * b % 60)
				default:
					raw[i] += uint64(b) * 100_000
				}
				o.values[i].raw = raw[i]
			}
			script = script[6:]
			looks++
			at := instant{boot: clock, wall: clock}
			slots := []slot{{phase: energy.Compute, nanos: 1}}
			for i, v := range p.observe(o) {
				tr := tracks[i]
				var done []energy.Record
				switch {
				case tr.state != measuring && v.trust == trusted && v.outcome == confirmed:
					done = tr.start(at, raw[i], "")
				case tr.state != measuring:
				case v.outcome == confirmed:
					done = tr.observe(at, raw[i], slots)
				case v.outcome == rejected:
					done = tr.reject(at, raw[i], v.reason)
				default:
					tr.queueSlots(slots)
				}
				if tr.state == measuring && v.trust != trusted {
					done = append(done, tr.stop(at, v.reason)...)
				}
				for _, r := range done {
					if err := r.Validate(); err != nil {
						t.Fatal(err)
					}
				}
				booked[i] += microJ(done)
			}
		}
		for i, tr := range tracks {
			sum := booked[i]
			if tr.state == measuring {
				sum += microJ(tr.finish())
			}
			most := p.counters[i].desc.MaxWatts * powerMargin * (time.Duration(clock-start) + time.Duration(looks)*maxLateness).Seconds() * 1e6
			if sum < 0 || float64(sum) > most+1 {
				t.Fatalf("%s: %d µJ in %v, more than %.0f", p.counters[i].desc.Meter, sum, time.Duration(clock-start), most)
			}
		}
	})
}

// A host that was suspended for an hour drew nothing by its processors: what a
// counter says is held against the time awake.
func TestSuspended(t *testing.T) {
	const hour = int64(time.Hour)
	for _, c := range []struct {
		joules uint64
		booked int64
		gaps   int
	}{{100, 100_000_000, 0}, {100_000, 0, 1}} {
		d := Description{Range: 262_143_328_850, Num: 1, Den: 1, MaxWatts: 500}
		tr := testTrack(d)
		tr.start(instant{boot: 1e9}, 7, "")
		woken := instant{boot: 3e9 + hour, wall: 3e9 + hour, asleep: hour}
		done := tr.observe(woken, 7+c.joules*1_000_000, []slot{{phase: energy.Compute, nanos: 1}})
		done = append(done, tr.finish()...)
		if got := microJ(done); got != c.booked || len(gaps(done)) != c.gaps {
			t.Errorf("%d J in 2 s awake and an hour asleep: %d µJ are booked, %d gaps", c.joules, got, len(gaps(done)))
		}
	}
	now := instant{boot: 1e9}
	m := newMemory(func() instant { return now }, func() (uint64, error) { return gib, nil }, 0.375)
	for _, now = range []instant{{boot: 1e9}, {boot: 3e9 + hour, asleep: hour}} {
		if _, err := m.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := m.Read(); err != nil || got != 1024*2_000_000 {
		t.Errorf("memory of a host that was awake for 2 s: %d MiB µs, %v", got, err)
	}
}
