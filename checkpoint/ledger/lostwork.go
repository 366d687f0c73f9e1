package ledger

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// lostWork finds the energy of steps whose result was lost: when a lineage begins from the
// state of some step, earlier work on later steps has to be repeated.
//
// Earlier is decided by wall time, since pending readings of a killed process arrive
// later. Where the clocks of hosts differ by a second, a second of work may be counted on
// the wrong side.
type lostWork struct {
	spent  []stepEnergy
	starts []lineageStart
}

// stepEnergy is the energy that a part of a reading charges to steps.
type stepEnergy struct {
	first, last uint64
	end         int64 // Unix time in ns
	microJ      int64
}

type lineageStart struct {
	since int64 // Unix time in ns
	from  uint64
}

func (l *lostWork) addReading(r *energy.Reading) {
	for _, p := range r.Parts {
		if p.LastStep > 0 && p.Phase.OfStep() {
			l.spent = append(l.spent, stepEnergy{p.FirstStep, p.LastStep, r.WallEnd, p.MicroJ})
		}
	}
}

func (l *lostWork) addLineage(b *Lineage) {
	l.starts = append(l.starts, lineageStart{b.Since.UnixNano(), b.From})
}

// total returns the lost energy, in µJ.
func (l *lostWork) total() int64 {
	slices.SortFunc(l.spent, func(a, b stepEnergy) int { return cmp.Compare(b.end, a.end) }) // newest first
	slices.SortFunc(l.starts, func(a, b lineageStart) int { return cmp.Compare(b.since, a.since) })
	var lost int64
	keptUpTo, next := ^uint64(0), 0 // every later lineage began with the steps up to keptUpTo
	for _, w := range l.spent {
		for next < len(l.starts) && l.starts[next].since >= w.end {
			keptUpTo = min(keptUpTo, l.starts[next].from)
			next++
		}
		if w.last <= keptUpTo {
			continue
		}
		steps := w.last - w.first + 1
		lostSteps := w.last - max(keptUpTo, w.first-1)
		lost += int64(share(uint64(w.microJ), min(lostSteps, steps), steps))
	}
	return lost
}
