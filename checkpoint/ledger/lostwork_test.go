package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

func at(second int) time.Time { return time.Date(2026, 3, 1, 12, 0, second, 0, time.UTC) }

func spent(seq uint64, second int, phase energy.Phase, first, last uint64, uj int64) Entry {
	e := reading("w0", "cpu", seq, uj)
	e.Reading.WallEnd = at(second).UnixNano()
	e.Reading.Parts = []energy.Part{{Phase: phase, FirstStep: first, LastStep: last, MicroJ: uj}}
	return e
}

func begins(name string, second int, from uint64) Entry {
	return Entry{Lineage: &Lineage{Session: name, Generation: 1, From: from, Since: at(second)}}
}

func TestWorkThatWasLostIsWasted(t *testing.T) {
	for name, c := range map[string]struct {
		entries []Entry
		want    int64
	}{
		"nothing lost":                   {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Compute, 1, 10, 100)}, 0},
		"all of it":                      {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Compute, 1, 10, 100), begins("b", 6, 0), spent(2, 9, energy.Compute, 1, 10, 100)}, 100},
		"what a checkpoint did not have": {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Compute, 1, 10, 100), begins("b", 6, 8)}, 20},
		"readings that come late":        {[]Entry{begins("a", 0, 0), begins("b", 6, 8), spent(1, 5, energy.Communication, 1, 10, 100)}, 20},
		"nothing, a checkpoint had all":  {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Compute, 1, 10, 100), begins("b", 6, 10)}, 0},
		"once, though lost twice":        {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Compute, 1, 10, 100), begins("b", 6, 8), begins("c", 7, 4)}, 60},
		"other phases are no work":       {[]Entry{begins("a", 0, 0), spent(1, 5, energy.Idle, 1, 10, 100), begins("b", 6, 0)}, 0},
	} {
		sum := newTally()
		for _, e := range c.entries {
			sum.add(e)
		}
		a, err := sum.finish()
		if err != nil || a.LostWork != c.want || a.Wasted != c.want {
			t.Errorf("%s: %d µJ lost, %d wasted, want %d: %v", name, a.LostWork, a.Wasted, c.want, err)
		}
	}
}

// TestLostWorkByStep compares with an oracle that knows every step by itself.
func TestLostWorkByStep(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		sum := newTally()
		type one struct {
			step   uint64
			second int
		}
		var done []one
		var starts []one
		for second := 1; second < 40; second++ {
			if r.IntN(8) == 0 {
				from := r.Uint64N(20)
				starts = append(starts, one{from, second})
				sum.add(begins(fmt.Sprint(second), second, from))
				continue
			}
			first := 1 + r.Uint64N(20)
			last := first + r.Uint64N(5)
			sum.add(spent(uint64(second), second, energy.Compute, first, last, int64(1000*(last-first+1))))
			for step := first; step <= last; step++ {
				done = append(done, one{step, second})
			}
		}
		var want int64
		for _, d := range done {
			for _, s := range starts {
				if s.second >= d.second && s.step < d.step {
					want += 1000
					break
				}
			}
		}
		if got, err := sum.finish(); err != nil || got.LostWork != want {
			t.Fatalf("%d µJ lost, want %d: %v", got.LostWork, want, err)
		}
	}
}
