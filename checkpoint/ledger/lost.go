package ledger

import (
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// lostWork finds the energy of steps whose result was lost: training begins from
// the state of some step, and what was spent before on later steps is computed once
// more.
//
// What came before is told by wall time, since readings of a process that
// was killed arrive when the next one sends what it left. Where clocks of hosts
// differ by a second, a second of work may count on the wrong side.
type lostWork struct {
	work   []spentOn
	starts []start
}

// spentOn is what a part of a reading says was spent on steps.
type spentOn struct {
	first, last uint64
	end         int64 // Unix time in ns
	microJ      int64
}

type start struct {
	since int64 // Unix time in ns
	from  uint64
}

func (l *lostWork) reading(r *energy.Reading) {
	for _, p := range r.Parts {
		if p.LastStep > 0 && (p.Phase == energy.Compute || p.Phase == energy.Communication) {
			l.work = append(l.work, spentOn{p.FirstStep, p.LastStep, r.WallEnd, p.MicroJ})
		}
	}
}

func (l *lostWork) begun(b *Begun) {
	l.starts = append(l.starts, start{b.Since.UnixNano(), b.From})
}

// total is the energy that was lost, in µJ.
func (l *lostWork) total() int64 {
	slices.SortFunc(l.work, func(a, b spentOn) int { return int(min(max(b.end-a.end, -1), 1)) }) // newest first
	slices.SortFunc(l.starts, func(a, b start) int { return int(min(max(b.since-a.since, -1), 1)) })
	var lost int64
	keeps, next := ^uint64(0), 0 // what began since began with all steps up to keeps
	for _, w := range l.work {
		for next < len(l.starts) && l.starts[next].since >= w.end {
			keeps = min(keeps, l.starts[next].from)
			next++
		}
		if w.last <= keeps {
			continue
		}
		steps := w.last - w.first + 1
		gone := w.last - max(keeps, w.first-1)
		lost += int64(share(uint64(w.microJ), min(gone, steps), steps))
	}
	return lost
}
