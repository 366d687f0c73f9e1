package meter

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

const (
	patience = 5   // intervals for which reads may fail before that is a gap
	maxParts = 512 // a reading with as many parts is finished, whatever its age
	// longGapIntervals is after how many intervals a part of an open gap is stated.
	longGapIntervals = 300
)

// sampler samples all meters of a process. It does no I/O except that of its sources and
// locks, and has no clock.
type sampler struct {
	run       string
	interval  time.Duration
	birth     instant
	groups    []*counterGroup // of counters of the host
	estimates []*gauge        // of this process
	candidate bool            // may own counters of the host
	sampled   bool
	newGauge  func(Source) *gauge
	log       func(string, ...any)
}

// sample samples everything once and returns the finished records. With every = 0 all
// readings are finished, else those of that length.
func (s *sampler) sample(at instant, use usage, slots []slot, every time.Duration) (done []energy.Record) {
	covers := map[string]coverage{}
	for _, b := range s.groups {
		done = append(done, s.sampleGroup(b, at, use, slots)...)
		b.coverage(s.run, at, covers)
	}
	for _, p := range s.estimates {
		if p.desc.Absent != "" {
			done = append(done, s.stateAbsent(p, at, slots)...)
			continue
		}
		done = append(done, s.sampleEstimate(p, covers[p.desc.Kind], at, slots)...)
	}
	s.sampled = true
	for _, p := range s.gauges() {
		switch {
		case p.state == measuring && (p.at.boot-p.open.boot >= int64(every) || len(p.parts) >= maxParts || p.spansGenerations()):
			done = append(done, p.finish()...)
		case every == 0 || at.boot-p.at.boot >= int64(longGapIntervals*s.interval):
			done = append(done, p.flushGap(at)...)
		}
	}
	return done
}

// sampleEstimate samples an estimate of this process, which stands by while a counter
// covers it.
func (s *sampler) sampleEstimate(p *gauge, now coverage, at instant, slots []slot) (done []energy.Record) {
	before := p.measuredBefore
	p.measuredBefore = now.by
	if now.by != byOtherRun || now.run != p.by {
		done = p.endElsewhere()
	}
	if !s.sampled && p.desc.ProcessorTime {
		switch now.by {
		case byNobody, byUs: // no other process has measured what this one has used so far
			p.start(s.birth, 0, "")
		case byOtherRun:
			p.standBy(s.birth)
		}
	}
	switch now.by {
	case byNobody:
		return append(done, s.estimateUncovered(p, before, at, slots)...)
	case byOtherRun:
		return append(done, s.stateCountedElsewhere(p, now, at, slots)...)
	}
	if (before == byOtherRun || p.state == ownerGone) && at.boot > p.at.boot {
		done = append(done, p.gap(at, ownerEnded)) // from one owner to the next
	}
	switch now.by {
	case byUs:
		if p.state == measuring {
			if done = s.readEstimate(p, at, slots); p.state == measuring { // up to the start of the counter
				done = append(done, p.stop(at, p.unmeasuredReason(at))...)
			}
		}
	case bySibling:
		if p.state == measuring {
			done = p.stop(at, "another process began to read a counter of the host")
		}
	}
	done = append(done, p.closeGap(at)...)
	p.standByUntil(now.until)
	return done
}

// estimateUncovered estimates, since no counter is used. If another process used one until
// the last sample and has ended, a third may be about to take over: one sample waits for
// that.
func (s *sampler) estimateUncovered(p *gauge, before measuredBy, at instant, slots []slot) (done []energy.Record) {
	if p.state == measuring {
		if done = s.readEstimate(p, at, slots); p.state != measuring {
			p.openGapNow(unreadable)
		}
		return done
	}
	if before == bySibling || before == byOtherRun {
		reason, ended := notUsed, !slices.ContainsFunc(s.groups, func(b *counterGroup) bool { return b.heldElsewhere })
		if ended {
			reason = ownerEnded
		}
		if p.state, p.reason = ownerGone, reason; ended {
			return nil
		}
	}
	raw, err := p.src.Read()
	if err != nil {
		if p.state != missing {
			s.log("meter %s: %v", p.desc.Meter, err)
		}
		if p.at == (instant{}) {
			p.standBy(at) // a gap from here on
		}
		p.openGapNow(unreadable)
		return done
	}
	reason := ""
	if p.state == ownerGone {
		reason = p.reason
	}
	done = append(done, p.closeGap(at)...)
	return append(done, p.start(at, raw, reason)...)
}

// stateCountedElsewhere states, while a process of another run reads the counters of the
// host, that the account of that run has what this process draws.
func (s *sampler) stateCountedElsewhere(p *gauge, now coverage, at instant, slots []slot) (done []energy.Record) {
	before := p.at
	switch p.state {
	case measuring:
		from := p.at
		done = p.finish() // the counter may have counted since its last sample
		p.standBy(from)
	case missing:
		done = p.closeGapAndStandBy(at)
	case ownerGone: // since when the other process counts is unknown
		if at.boot > p.at.boot {
			done = append(done, p.gap(at, p.reason))
		}
		p.standBy(at)
	case standby:
		if p.at == (instant{}) {
			p.standBy(at)
		}
	case countedElsewhere:
	}
	p.state, p.by, p.reason, p.until = countedElsewhere, now.run, fmt.Sprintf(countedByRunText, now.run), now.until
	if p.at == before {
		p.queueSlots(slots) // the gap began before these slots
	}
	return done
}

// endElsewhere ends the gap of what was counted elsewhere with the last sample of the
// process that measured it.
func (p *gauge) endElsewhere() (done []energy.Record) {
	if p.state == countedElsewhere {
		done = p.closeGap(p.until)
	}
	return done
}

// stateAbsent states at the first sample that a device is not metered, so that even a
// killed process has said so; the rest is an open gap.
func (s *sampler) stateAbsent(p *gauge, at instant, slots []slot) []energy.Record {
	p.queueSlots(slots)
	if s.sampled {
		return nil
	}
	waiting := p.slots
	p.standBy(s.birth)
	p.slots = waiting
	p.openGapNow(p.desc.Absent)
	return p.flushGap(at)
}

// readEstimate samples a running estimate. It stops the estimate if reading has failed for
// too long.
func (s *sampler) readEstimate(p *gauge, at instant, slots []slot) []energy.Record {
	raw, err := p.src.Read()
	if err == nil {
		done := p.observe(at, raw, slots)
		s.logGaps(p, done)
		return done
	}
	p.queueSlots(slots)
	p.unbooked = unreadable
	if p.unreadFor(at) <= patience*s.interval {
		return nil
	}
	s.log("meter %s: nothing for %s: %v", p.desc.Meter, p.unreadFor(at).Round(time.Millisecond), err)
	return p.stop(at, fmt.Sprintf("%s: %v", unreadable, err))
}

// logGaps logs the gaps among finished records.
func (s *sampler) logGaps(p *gauge, done []energy.Record) {
	for _, r := range done {
		if r.Gap != nil {
			s.log("meter %s: %s: counting starts again from here", p.desc.Meter, r.Gap.Reason)
		}
	}
}

// finishAll finishes all readings and gaps.
func (s *sampler) finishAll(at instant) (done []energy.Record) {
	for _, p := range s.gauges() {
		switch p.state {
		case measuring:
			done = append(done, p.stop(at, p.unmeasuredReason(at))...)
		case ownerGone:
			done = append(done, p.gap(at, p.reason))
		case countedElsewhere:
			done = append(done, p.endElsewhere()...)
		default:
			done = append(done, p.closeGapAndStandBy(at)...)
		}
	}
	return done
}

// release gives up the counters of the host.
func (s *sampler) release() {
	for _, b := range s.groups {
		b.release()
	}
}

// open returns the unfinished readings and gaps, for the log.
func (s *sampler) open(at instant) (readings []*energy.Reading, gaps []*energy.Gap) {
	for _, p := range s.gauges() {
		if p.state == measuring {
			readings = append(readings, p.unfinished())
		} else if g := p.unfinishedGap(at); g != nil {
			gaps = append(gaps, g)
		}
	}
	return readings, gaps
}

// joules returns what all meters have booked so far.
func (s *sampler) joules() (sum float64) {
	for _, p := range s.gauges() {
		sum += p.joules
	}
	return sum
}

func (s *sampler) gauges() (all []*gauge) {
	for _, b := range s.groups {
		all = append(all, b.gauges...)
	}
	return append(all, s.estimates...)
}

// spacing returns how long a reading becomes: at first one interval, so that a run of
// seconds shows something; soon thirty, since a ledger of hours need not know every
// second; and twice as long for every 512 records that wait for the service.
func spacing(interval, age time.Duration, backlog int) time.Duration {
	every := min(max(age/2, interval), 30*interval)
	every <<= min(backlog/512, 20)
	return every - interval/2 // a sample may come a little early
}
