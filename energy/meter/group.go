package meter

import (
	"errors"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// counterGroup is counters of a host that one process reads for all, under one lock: they
// overlap, and which of them are used is decided together.
type counterGroup struct {
	lock          counterLock
	gauges        []*gauge
	plausibility  plausibility
	find          func() []hostCounter // finds counters, new ones included; nil where none can come
	samples       int
	owned         bool
	otherHolder   holder   // as of the last sample
	heldElsewhere bool     // otherHolder is set
	covered       []string // kinds of device, as published

	unmeasured string // why nothing measures since the last sample, until a counter starts
}

// gauge is a source with its track.
type gauge struct {
	src Source
	track
	tier           int        // of a counter of the host
	measuredBefore measuredBy // of an estimate: by which process, at the last sample
	unbooked       string     // why its values since the last booked sample are not booked; "" if it did not move
}

var errNotRead = errors.New("only workers read counters of the host")

// findEverySamples is after how many samples a group looks for new counters.
const findEverySamples = 30

func (b *counterGroup) add(c hostCounter, p *gauge) {
	b.gauges = append(b.gauges, p)
	p.tier = c.tier
	b.plausibility.add(counterFacts{desc: p.desc, parts: c.parts, mayStandStill: c.mayStandStill})
}

func (b *counterGroup) has(meter string) bool {
	return slices.ContainsFunc(b.gauges, func(p *gauge) bool { return p.desc.Meter == meter })
}

// addFound looks for new counters now and then. They stand by at first.
func (s *sampler) addFound(b *counterGroup, at instant) {
	if !s.candidate || b.find == nil {
		return
	}
	if b.samples++; b.samples%findEverySamples != 0 {
		return
	}
	for _, c := range b.find() {
		if !b.has(c.Describe().Meter) {
			p := s.newGauge(c.Source)
			p.standBy(at)
			b.add(c, p)
		}
	}
}

// sampleGroup samples a group of counters: it judges their values, takes or gives up the
// lock, and books what can be believed.
func (s *sampler) sampleGroup(b *counterGroup, at instant, use usage, slots []slot) (done []energy.Record) {
	s.addFound(b, at)
	o := observation{awake: at.awake(), busy: use.busy, values: make([]value, len(b.gauges))}
	readable := false
	for i, p := range b.gauges {
		if o.values[i].err = errNotRead; s.candidate {
			raw, err := p.src.Read()
			o.values[i] = value{raw, err}
			readable = readable || err == nil
		}
	}
	verdicts := b.plausibility.observe(o)
	if b.acquire(s.run, at, readable); !b.owned {
		until := at
		if b.heldElsewhere {
			until = b.otherHolder.lastRead(at)
		}
		for _, p := range b.gauges {
			done = append(done, p.closeGap(at)...)
			p.standByUntil(until)
		}
		return done
	}
	chosen := b.choose(verdicts)
	for i, p := range b.gauges {
		done = append(done, s.sampleCounter(p, verdicts[i], o.values[i], chosen[i], b.unmeasured, at, use, slots)...)
	}
	covers := b.covers()
	for i := range b.gauges {
		done = append(done, b.uncovered(i, covers, verdicts[i].reason, at)...)
	}
	if len(covers) > 0 {
		b.unmeasured = ""
	}
	if !readable && len(covers) == 0 && !slices.ContainsFunc(b.gauges, func(p *gauge) bool { return p.state == measuring }) {
		for _, p := range b.gauges {
			done = append(done, p.closeGapAndStandBy(at)...)
		}
		b.release()
		return done
	}
	b.lock.publish(covers, at.boot)
	b.covered = covers
	return done
}

// acquire takes the lock of the group if its counters can be read and it is free.
func (b *counterGroup) acquire(run string, at instant, readable bool) {
	if b.owned {
		return
	}
	before, was := b.otherHolder, b.heldElsewhere
	if !readable || !b.lock.tryLock() {
		b.otherHolder, b.heldElsewhere = b.lock.otherHolder()
		return
	}
	b.owned, b.heldElsewhere, b.covered = true, false, nil
	if was && before.Run == run && len(before.Covers) > 0 {
		b.unmeasured = ownerEnded // nothing was measured since the last sample
		return
	}
	for _, p := range b.gauges {
		p.standBy(at)
	}
}

func (b *counterGroup) release() {
	b.lock.release()
	b.owned = false
}

// choose returns which counters are used: the trusted ones of the first tier that has
// any.
func (b *counterGroup) choose(verdicts []verdict) []bool {
	chosen, best := make([]bool, len(b.gauges)), tierNone
	for i, v := range verdicts {
		// A counter starts at a confirmed value.
		chosen[i] = b.gauges[i].tier < tierNone && v.trust == trusted && (v.outcome == confirmed || b.gauges[i].state == measuring)
		if chosen[i] {
			best = min(best, b.gauges[i].tier)
		}
	}
	for i := range chosen {
		chosen[i] = chosen[i] && b.gauges[i].tier == best
	}
	return chosen
}

// sampleCounter handles one counter of a group that this process owns.
func (s *sampler) sampleCounter(p *gauge, v verdict, got value, chosen bool, unmeasured string, at instant, use usage, slots []slot) (done []energy.Record) {
	if p.state == measuring {
		p.load.Add(use.load())
		if p.unbooked = unreadable; v.outcome != unread {
			p.unbooked = v.reason
		}
		switch v.outcome {
		case confirmed:
			done = p.observe(at, got.raw, slots)
		case rejected:
			p.queueSlots(slots)
			done = p.reject(at, got.raw, v.reason)
		default:
			p.queueSlots(slots)
		}
		s.logGaps(p, done)
		switch {
		case v.trust != trusted:
			s.log("meter %s: %s", p.desc.Meter, v.reason)
			done = append(done, p.stop(at, v.reason)...)
		case !chosen: // a better counter took over
			done = append(done, p.stop(at, p.unmeasuredReason(at))...)
		}
		return done
	}
	switch {
	case chosen:
		if p.state == missing {
			done = p.closeGapAndStandBy(at)
		}
		done = append(done, p.start(at, got.raw, unmeasured)...)
	case v.lostTrust && p.state == standby:
		s.log("meter %s: %s", p.desc.Meter, v.reason)
		if at.boot > p.at.boot {
			done = append(done, p.gap(at, v.reason))
		}
		p.standBy(at)
	}
	return done
}

// unmeasuredReason returns why the time since the last booked sample is not measured, ""
// if it is.
func (p *gauge) unmeasuredReason(at instant) string {
	if p.unreadFor(at) > 0 {
		return p.unbooked
	}
	return ""
}
