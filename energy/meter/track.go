package meter

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// margin by which a device may exceed what it can draw, and the time by which a
// counter may be updated late, before a difference is not believed.
const (
	margin   = 1.2
	lateness = 100 * time.Millisecond
)

// state is what a meter does.
type state int

const (
	standby   state = iota // it measures nothing, and nothing is missed by that
	measuring              // it has an open reading
	missing                // nothing measures what it should: a gap since its last look
	elsewhere              // a process of another run measures it: a gap since its last look that says so
	vacated                // as standby; who measured for it until the last look has ended
)

// track turns looks at one meter into records. While it measures it has an open
// reading from `open` to `at`; while it is missing or elsewhere it has an open
// gap that begins at `at`. The methods look, miss, refuse, finish and reading need
// an open reading. Methods return the records that are finished, in order.
type track struct {
	desc   Description
	source energy.Source // Seq is that of the last finished record
	state  state
	reason string  // of the open gap
	by     string  // the run that measures what is elsewhere
	until  instant // when that run's process had looked last

	open     instant // where the open reading begins
	at       instant // the last look that gave something
	rawOpen  uint64
	raw      uint64
	wraps    uint64
	anew     bool // rawOpen continues nothing
	parts    []energy.Part
	microJ   int64
	waiting  []slot // since `at`
	carry    uint64 // what the conversion left over
	began    bool   // it has run before
	joules   float64
	lastStep uint64
	load     energy.Load
}

// begin starts to count from raw. A reason says why nothing was measured since
// the track stopped or was last told to rest; without one, nothing had to be.
func (t *track) begin(at instant, raw uint64, reason string) (done []energy.Record) {
	if reason != "" && t.at != (instant{}) && at.boot > t.at.boot {
		done = append(done, t.gap(at, reason))
	}
	t.anew = t.began
	t.state, t.began = measuring, true
	t.reset(at, raw)
	return done
}

// rest says that until now others have measured what this meter would have.
func (t *track) rest(at instant) { t.state, t.at, t.waiting = standby, at, nil }

// restUntil is rest for others that had looked last at a moment that may lie before
// what this meter has stated.
func (t *track) restUntil(at instant) {
	if at.boot < t.at.boot {
		at = t.at
	}
	t.rest(at)
}

// missed begins a gap, unless one is open, at the last look or, where others have
// measured until then, at the time of the last rest.
func (t *track) missed(reason string) {
	if t.state != missing {
		t.state, t.reason, t.by = missing, reason, ""
	}
}

// closeGap ends the open gap, if there is one.
func (t *track) closeGap(at instant) (done []energy.Record) {
	switch t.state {
	case missing:
		done = t.extend(at)
		t.rest(at)
	case elsewhere:
		done = t.extend(at)
		t.restUntil(t.until)
	}
	return done
}

// close is closeGap and rest.
func (t *track) close(at instant) (done []energy.Record) {
	done = t.closeGap(at)
	t.rest(at)
	return done
}

// extend states the open gap until now and goes on with it.
func (t *track) extend(at instant) []energy.Record {
	g := t.openGap(at)
	if g == nil {
		return nil
	}
	t.source.Seq, t.lastStep, t.waiting = g.Seq, g.LastStep, nil
	if t.at = at; t.state == elsewhere {
		t.at = t.until
	}
	return []energy.Record{{Gap: g}}
}

// openGap returns the open gap as it stands, under the number that it will have;
// nil where there is none.
func (t *track) openGap(at instant) *energy.Gap {
	if t.state == elsewhere {
		at = t.until
	}
	if t.state != missing && t.state != elsewhere || at.boot <= t.at.boot {
		return nil
	}
	g := t.gapUntil(at, t.reason)
	if t.state == elsewhere {
		g.CountedBy = t.by
		if t.desc.ProcessorTime {
			for _, s := range t.waiting {
				g.ProcessorNanos += int64(s.busy)
			}
		}
	}
	return g
}

// look takes a value of the counter and the slots since the last look or miss,
// at least one. A value that cannot be believed states a gap, and the next one counts from it.
func (t *track) look(at instant, raw uint64, slots []slot) []energy.Record {
	t.miss(slots)
	delta, wraps, fault := difference(t.desc, t.raw, raw, at.awakeSince(t.at))
	var uj int64
	if fault == "" {
		rest, ok := uint64(0), false
		if uj, rest, ok = energy.Scale(delta, t.desc.Num, t.desc.Den, t.carry); ok {
			_, ok = energy.Add(t.microJ, uj)
		}
		if !ok {
			fault = fmt.Sprintf("counter went from %d to %d, which overflows", t.raw, raw)
		} else {
			t.carry = rest
		}
	}
	if fault != "" {
		return t.refuse(at, raw, fault)
	}
	t.book(uj)
	t.at, t.raw, t.wraps = at, raw, t.wraps+wraps
	return nil
}

// refuse states that a value cannot be believed, and counts from it.
func (t *track) refuse(at instant, raw uint64, fault string) []energy.Record {
	done := t.stop(at, fault)
	t.begin(at, raw, "")
	return done
}

// miss takes the slots of a look that gave nothing: they wait for the next one.
func (t *track) miss(slots []slot) {
	for _, s := range slots {
		t.waiting = add(t.waiting, s)
	}
}

// silence returns for how long no look has given anything.
func (t *track) silence(at instant) time.Duration { return at.awakeSince(t.at) }

// finish ends the open reading and opens the next, which continues it.
func (t *track) finish() []energy.Record {
	if t.at.boot == t.open.boot && t.microJ == 0 {
		return nil
	}
	r := t.reading()
	waiting := t.waiting // what is not measured yet belongs to the next reading
	t.reset(t.at, t.raw)
	t.source.Seq, t.anew, t.waiting = r.Seq, false, waiting
	return []energy.Record{{Reading: r}}
}

// stop finishes the open reading and stops counting. A reason says why the time
// since the last look is not measured.
func (t *track) stop(at instant, reason string) []energy.Record {
	done := t.finish()
	if reason != "" && at.boot > t.at.boot {
		done = append(done, t.gap(at, reason))
	}
	t.rest(at)
	return done
}

// reading returns the open reading as it stands, under the number that it will
// have.
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
	if t.anew {
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

// unfinished returns the open reading for the log. One that is empty still tells
// in which step it began, for the gap that follows a kill.
func (t *track) unfinished() *energy.Reading {
	r := t.reading()
	if len(r.Parts) == 0 {
		r.Parts = []energy.Part{{Phase: energy.Idle, FirstStep: t.lastStep, LastStep: t.lastStep}}
	}
	return r
}

// gap states that nothing was measured from the last look until a moment.
func (t *track) gap(until instant, reason string) energy.Record {
	g := t.gapUntil(until, reason)
	t.source.Seq, t.lastStep = g.Seq, g.LastStep
	return energy.Record{Gap: g}
}

func (t *track) gapUntil(until instant, reason string) *energy.Gap {
	first, last := t.lastStep, t.lastStep
	for i, s := range t.waiting {
		if i == 0 {
			first, last = s.first, s.last
		}
		first, last = min(first, s.first), max(last, s.last)
	}
	g := &energy.Gap{Source: t.source, Span: span(t.at, until), FirstStep: first, LastStep: last, Reason: reason}
	g.Seq++
	return g
}

func (t *track) reset(at instant, raw uint64) {
	t.open, t.at, t.rawOpen, t.raw = at, at, raw, raw
	t.wraps, t.microJ, t.parts, t.waiting = 0, 0, nil, nil
	t.load = energy.Load{}
}

// book divides the energy of one look among the slots that waited for it and
// adds that to the parts of the open reading.
func (t *track) book(uj int64) {
	t.microJ += uj
	t.joules += energy.Joules(uj)
	weights := make([]uint64, len(t.waiting))
	for i, s := range t.waiting {
		if weights[i] = s.nanos; t.desc.ProcessorTime {
			weights[i] = s.busy
		}
	}
	shares := energy.Split(nil, uj, weights)
	for i, s := range t.waiting {
		t.lastStep = s.last
		t.merge(energy.Part{
			Phase: s.phase, Generation: s.generation, FirstStep: s.first, LastStep: s.last,
			MicroJ: shares[i], Nanos: int64(s.nanos),
		})
	}
	t.waiting = nil
}

func (t *track) merge(p energy.Part) {
	for i := len(t.parts) - 1; i >= 0; i-- {
		if q := &t.parts[i]; q.Phase == p.Phase && q.Generation == p.Generation {
			q.FirstStep, q.LastStep = min(q.FirstStep, p.FirstStep), max(q.LastStep, p.LastStep)
			q.MicroJ += p.MicroJ
			q.Nanos += p.Nanos
			return
		}
	}
	if p.MicroJ > 0 || p.Nanos > 0 {
		t.parts = append(t.parts, p)
	}
}

// mixed reports whether the open reading is of several generations. It ends then,
// at most a look late: what was lost with a generation is told by when readings end.
func (t *track) mixed() bool {
	return slices.ContainsFunc(t.parts, func(p energy.Part) bool { return p.Generation != t.parts[0].Generation })
}

func span(from, to instant) energy.Span {
	return energy.Span{Start: from.boot, End: to.boot, WallStart: from.wall, WallEnd: to.wall}
}
