package meter

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// TestKillsCountNothingTwice kills and starts the processes of two runs on one host
// at random, at any moment of their logs. Whatever happens: no stretch of the
// counter stands in two readings, of whatever process and run; nothing is
// estimated while the counter counts; and of the time of every process each moment
// is measured or stated as a gap by somebody.
func TestKillsCountNothingTwice(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { killAndStart(t, seed) })
		})
	}
}

// mortal is a process that is killed and started again.
type mortal struct {
	name, run string
	candidate bool
	disk      memDisk
	m         *Meter // nil while it is dead
	starts    int
}

// life is one incarnation, from its birth to its last look.
type life struct{ from, to int64 }

type lifeKey struct{ worker, incarnation string }

func killAndStart(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	zone := &fakeZone{name: "package-0"}
	tr := newTree(t, map[string]*fakeZone{"0": zone})
	processes := []*mortal{
		{name: "a1", run: "run-a", candidate: true}, {name: "a2", run: "run-a", candidate: true}, {name: "a3", run: "run-a"},
		{name: "b1", run: "run-b", candidate: true}, {name: "b2", run: "run-b", candidate: true},
	}
	lives := map[lifeKey]*life{}
	lifeOf := func(p *mortal) lifeKey { return lifeKey{p.name, fmt.Sprint(p.starts)} }
	start := func(p *mortal) {
		if p.disk.FS == nil {
			p.disk = newMemDisk()
		}
		p.starts++
		o := options(t, p.name, fmt.Sprint(p.starts), &tr.s)
		o.Run, o.HostCounters, o.Log = p.run, p.candidate, nil
		p.m = mustOpen(t, o, tr.m.system(t, p.disk))
		lives[lifeOf(p)] = &life{tr.m.now().boot, tr.m.now().boot}
	}
	kill := func(p *mortal) {
		p.disk = memDisk{p.disk.Crash(memfs.KeepSome(r.Uint64()))}
		for _, b := range p.m.sampler.groups {
			b.lock.release() // as the kernel does
		}
		if f := p.m.register.file; f != nil {
			_ = f.Close()
		}
		p.m = nil
	}
	drawn := int64(0)
	for range 400 {
		pause := time.Duration(50+r.IntN(400)) * time.Millisecond
		time.Sleep(pause)
		step := pause.Milliseconds() * int64(20_000+r.IntN(40_000)) // 20 to 60 W
		drawn += step
		zone.value = (zone.value + step) % smallRange
		tr.writeZones()
		for _, p := range processes {
			switch {
			case p.m == nil:
				if r.IntN(12) == 0 {
					start(p)
				}
			case r.IntN(50) == 0:
				kill(p)
			case r.IntN(3) > 0: // else it stands still for a while
				p.m.Phase(energy.Phases()[r.IntN(8)], uint64(r.IntN(3)), 1)
				p.m.sample(r.IntN(20) == 0)
				lives[lifeOf(p)].to = tr.m.now().boot
				if r.IntN(4) == 0 {
					if err := p.m.waitAcknowledged(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	for _, p := range processes {
		if p.m == nil {
			start(p) // it sends what those before it left
		}
		if err := errors.Join(p.m.Flush(t.Context()), p.m.Close()); err != nil {
			t.Fatal(err)
		}
	}
	check(t, tr.s.records)

	var counted []energy.Span // by the counter, of all processes
	var sum int64
	covered := map[lifeKey][]energy.Span{} // of a process: measured or stated by itself
	var all []energy.Span                  // measured or stated by the counter's readers
	for _, rec := range tr.s.records {
		s, span := rec.Source(), spanOf(rec)
		switch {
		case s.Meter == "rapl:package-0" && rec.Reading != nil:
			sum += rec.Reading.MicroJ
			counted = append(counted, span)
			all = append(all, span)
		case s.Meter == "rapl:package-0":
			all = append(all, span)
		case s.Meter == "cpu":
			k := lifeKey{s.Worker, s.Incarnation}
			covered[k] = append(covered[k], span)
		}
	}
	slices.SortFunc(counted, byStart)
	for i := 1; i < len(counted); i++ {
		if counted[i].Start < counted[i-1].End {
			t.Errorf("two readings of the counter overlap: %v and %v", counted[i-1], counted[i])
		}
	}
	if sum > drawn || sum < drawn/2 {
		t.Errorf("%d µJ are charged of %d", sum, drawn)
	}
	for _, rec := range tr.s.records {
		if rec.Reading == nil || rec.Source().Meter != "cpu" {
			continue
		}
		for _, c := range counted {
			if a := rec.Reading.Span; min(a.End, c.End) > max(a.Start, c.Start) {
				t.Errorf("%s estimates from %d to %d, while the counter is read from %d to %d", rec.Source().Worker, a.Start, a.End, c.Start, c.End)
			}
		}
	}
	for k, l := range lives {
		if at, ok := uncoveredBy(*l, append(slices.Clone(all), covered[k]...)); ok {
			t.Errorf("%v lived from %d to %d, and of %d nobody says anything", k, l.from, l.to, at)
		}
	}
}

func byStart(a, b energy.Span) int { return cmp.Compare(a.Start, b.Start) }

// uncoveredBy returns a moment of a life in none of the spans.
func uncoveredBy(l life, spans []energy.Span) (at int64, ok bool) {
	slices.SortFunc(spans, byStart)
	at = l.from
	for _, s := range spans {
		if s.Start > at {
			break
		}
		at = max(at, s.End)
	}
	return at, at < l.to
}
