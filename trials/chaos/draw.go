package chaos

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/rng"
)

// Fault is one that was drawn.
type Fault struct {
	N    int // from 1
	Kind Kind
	Gap  time.Duration // of training before it
	Hold float64       // how long its target is frozen, cut off or away, in failure timeouts
	Pick uint64        // which of those that are there it hits, or to how many it scales
}

// domain keeps the draws of faults apart from everything else that is drawn from
// a seed.
const domain = 0x6368616f73

// Draw returns the faults of a plan. Each depends on the seed, the weights, the
// gap and its number only: a longer plan begins with those of a shorter one.
func Draw(p Plan) []Fault {
	total := 0
	for _, k := range kinds {
		total += p.weight(k.kind)
	}
	faults := make([]Fault, p.Count())
	for i := range faults {
		r := rng.New(domain, p.Seed, uint64(i))
		f := &faults[i]
		f.N = i + 1
		at := r.IntN(total)
		k := kinds[slices.IndexFunc(kinds, func(k kindOf) bool { at -= p.weight(k.kind); return at < 0 })]
		f.Kind = k.kind
		f.Gap = p.Gap.Min + time.Duration(r.Float64()*float64(p.Gap.Max-p.Gap.Min))
		f.Hold = k.hold[0] + k.hold[1]*r.Float64()
		f.Pick = r.Uint64()
	}
	return faults
}

// fit makes of a fault what can be done with the workers that are in the ring:
// one that would go below the minimum or above the maximum goes the other way.
// It returns the number to scale to where it scales.
func (p Plan) fit(f Fault, ring int) (Fault, int) {
	least, most := p.Workers.Min, p.Workers.Max
	switch f.Kind {
	case Drain:
		if ring <= least {
			f.Kind = ScaleUp
		}
	case ScaleDown:
		if ring <= least {
			f.Kind = ScaleUp
		}
	case ScaleUp:
		if ring >= most {
			f.Kind = ScaleDown
		}
	}
	switch f.Kind {
	case ScaleUp:
		return f, min(most, ring+1+int(f.Pick%uint64(max(1, most-ring))))
	case ScaleDown:
		return f, max(least, ring-1-int(f.Pick%uint64(max(1, ring-least))))
	}
	return f, 0
}
