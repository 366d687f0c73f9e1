package meter

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// A difference is believed up to powerMargin times what a device can draw, and as if the
// counter was updated up to maxLateness late.
const (
	powerMargin = 1.2
	maxLateness = 100 * time.Millisecond
)

// state is what a meter does.
type state int

const (
	standby          state = iota // it measures nothing, and misses nothing by that
	measuring                     // it has an open reading
	missing                       // nothing measures its device: a gap since its last sample
	countedElsewhere              // a process of another run measures it: a gap since its last sample that says so
	ownerGone                     // like standby; the process that measured for it has ended since the last sample
)

// track turns samples of one meter into records. While it measures it has an open reading
// from `open` to `at`; while it is missing or counted elsewhere it has an open gap that
// begins at `at`. The methods observe, queueSlots, reject, finish and reading need an open
// reading. Methods return the finished records, in order.
type track struct {
	desc   Description
	source energy.Source // Seq is that of the last finished record
	state  state
	reason string  // of the open gap
	by     string  // the run that measures it, if countedElsewhere
	until  instant // the last sample of that run's process

	open      instant // where the open reading begins
	at        instant // the last sample with a value
	rawOpen   uint64
	raw       uint64
	wraps     uint64
	baseline  bool // rawOpen does not continue an earlier reading
	parts     []energy.Part
	microJ    int64
	slots     []slot // since `at`
	remainder uint64 // of the last conversion
	started   bool   // it has run before
	joules    float64
	lastStep  uint64
	load      energy.Load
}

// start counts from raw. A reason says why nothing was measured since the track stopped or
// last stood by; without one, nothing had to be.
func (t *track) start(at instant, raw uint64, reason string) (done []energy.Record) {
	if reason != "" && t.at != (instant{}) && at.boot > t.at.boot {
		done = append(done, t.gap(at, reason))
	}
	t.baseline = t.started
	t.state, t.started = measuring, true
	t.reset(at, raw)
	return done
}

// standBy says that until now others have measured what this meter would have.
func (t *track) standBy(at instant) { t.state, t.at, t.slots = standby, at, nil }

// standByUntil is standBy for others whose last sample may lie before what this meter has
// already stated.
func (t *track) standByUntil(at instant) {
	if at.boot < t.at.boot {
		at = t.at
	}
	t.standBy(at)
}

// openGapNow opens a gap, unless one is open, at the last sample or, if others have
// measured until then, at the last standBy.
func (t *track) openGapNow(reason string) {
	if t.state != missing {
		t.state, t.reason, t.by = missing, reason, ""
	}
}

// closeGap ends the open gap, if there is one.
func (t *track) closeGap(at instant) (done []energy.Record) {
	switch t.state {
	case missing:
		done = t.flushGap(at)
		t.standBy(at)
	case countedElsewhere:
		done = t.flushGap(at)
		t.standByUntil(t.until)
	}
	return done
}

// closeGapAndStandBy ends the open gap and stands by.
func (t *track) closeGapAndStandBy(at instant) (done []energy.Record) {
	done = t.closeGap(at)
	t.standBy(at)
	return done
}

// flushGap states the open gap until now and keeps it open.
func (t *track) flushGap(at instant) []energy.Record {
	g := t.unfinishedGap(at)
	if g == nil {
		return nil
	}
	t.source.Seq, t.lastStep, t.slots = g.Seq, g.LastStep, nil
	if t.at = at; t.state == countedElsewhere {
		t.at = t.until
	}
	return []energy.Record{{Gap: g}}
}

// unfinishedGap returns the open gap so far, under the number that it will have; nil if
// there is none.
func (t *track) unfinishedGap(at instant) *energy.Gap {
	if t.state == countedElsewhere {
		at = t.until
	}
	if t.state != missing && t.state != countedElsewhere || at.boot <= t.at.boot {
		return nil
	}
	g := t.gapUntil(at, t.reason)
	if t.state == countedElsewhere {
		g.CountedBy = t.by
		if t.desc.ProcessorTime {
			for _, s := range t.slots {
				g.ProcessorNanos += int64(s.busy)
			}
		}
	}
	return g
}

// observe takes a value of the counter and the slots since the last sample, at least one.
// A value that cannot be believed states a gap, and the next value counts from it.
func (t *track) observe(at instant, raw uint64, slots []slot) []energy.Record {
	t.queueSlots(slots)
	delta, wraps, fault := difference(t.desc, t.raw, raw, at.awakeSince(t.at))
	var uj int64
	if fault == "" {
		rest, ok := uint64(0), false
		if uj, rest, ok = energy.Scale(delta, t.desc.Num, t.desc.Den, t.remainder); ok {
			_, ok = energy.Add(t.microJ, uj)
		}
		if !ok {
			fault = fmt.Sprintf("counter went from %d to %d, which overflows", t.raw, raw)
		} else {
			t.remainder = rest
		}
	}
	if fault != "" {
		return t.reject(at, raw, fault)
	}
	t.bookEnergy(uj)
	t.at, t.raw, t.wraps = at, raw, t.wraps+wraps
	return nil
}

// reject states that a value cannot be believed, and counts from it.
func (t *track) reject(at instant, raw uint64, fault string) []energy.Record {
	done := t.stop(at, fault)
	t.start(at, raw, "")
	return done
}

// queueSlots takes the slots of a sample without a value: they wait for the next one.
func (t *track) queueSlots(slots []slot) {
	for _, s := range slots {
		t.slots = addSlot(t.slots, s)
	}
}

// unreadFor returns for how long no sample has given a value.
func (t *track) unreadFor(at instant) time.Duration { return at.awakeSince(t.at) }

// finish ends the open reading and opens the next, which continues it.
func (t *track) finish() []energy.Record {
	if t.at.boot == t.open.boot && t.microJ == 0 {
		return nil
	}
	r := t.reading()
	waiting := t.slots // slots that are not measured yet belong to the next reading
	t.reset(t.at, t.raw)
	t.source.Seq, t.baseline, t.slots = r.Seq, false, waiting
	return []energy.Record{{Reading: r}}
}

// stop finishes the open reading and stops counting. A reason says why the time since the
// last sample is not measured.
func (t *track) stop(at instant, reason string) []energy.Record {
	done := t.finish()
	if reason != "" && at.boot > t.at.boot {
		done = append(done, t.gap(at, reason))
	}
	t.standBy(at)
	return done
}

// reading returns the open reading so far, under the number that it will have.
func (t *track) reading() *energy.Reading {
	r := &energy.Reading{
		Source: t.source, Method: t.desc.Method, Scope: t.desc.Scope,
		Span: span(t.open, t.at), Unit: t.desc.Unit,
		RawStart: t.rawOpen, RawEnd: t.raw, Range: t.desc.Range, Wraps: t.wraps,
		Num: t.desc.Num, Den: t.desc.Den, MicroJ: t.microJ, Parts: slices.Clone(t.parts),
	}
	r.Seq = t.source.Seq + 1
	if len(t.parts) > 1 && !t.desc.ProcessorTime {
		r.Quality = append(r.Quality, energy.QualityApportioned)
	}
	if t.baseline {
		r.Quality = append(r.Quality, energy.QualityBaseline)
	}
	if t.wraps > 0 {
		r.Quality = append(r.Quality, energy.QualityWrapped)
	}
	if t.load.HostNanos > 0 {
		load := energy.Load{}
		load.Add(t.load)
		r.Load = &load
	}
	return r
}

// unfinished returns the open reading for the log. An empty one still has the step in
// which it began, for the gap after a kill.
func (t *track) unfinished() *energy.Reading {
	r := t.reading()
	if len(r.Parts) == 0 {
		r.Parts = []energy.Part{{Phase: energy.Idle, FirstStep: t.lastStep, LastStep: t.lastStep}}
	}
	return r
}

// gap states that nothing was measured from the last sample until a moment.
func (t *track) gap(until instant, reason string) energy.Record {
	g := t.gapUntil(until, reason)
	t.source.Seq, t.lastStep = g.Seq, g.LastStep
	return energy.Record{Gap: g}
}

func (t *track) gapUntil(until instant, reason string) *energy.Gap {
	first, last := t.lastStep, t.lastStep
	for i, s := range t.slots {
		if i == 0 {
			first, last = s.firstStep, s.lastStep
		}
		first, last = min(first, s.firstStep), max(last, s.lastStep)
	}
	g := &energy.Gap{Source: t.source, Span: span(t.at, until), FirstStep: first, LastStep: last, Reason: reason}
	g.Seq++
	return g
}

func (t *track) reset(at instant, raw uint64) {
	t.open, t.at, t.rawOpen, t.raw = at, at, raw, raw
	t.wraps, t.microJ, t.parts, t.slots = 0, 0, nil, nil
	t.load = energy.Load{}
}

// spansGenerations reports whether the open reading has several generations. It ends then,
// at most one sample late: the ends of readings tell what was lost with a generation.
func (t *track) spansGenerations() bool {
	return slices.ContainsFunc(t.parts, func(p energy.Part) bool { return p.Generation != t.parts[0].Generation })
}

func span(from, to instant) energy.Span {
	return energy.Span{Start: from.boot, End: to.boot, WallStart: from.wall, WallEnd: to.wall}
}
