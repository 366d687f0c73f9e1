package meter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// counterLock is the right to use counters of the host, which one process has at a time.
type counterLock interface {
	// tryLock reports whether this process now has the lock, for its run.
	tryLock() bool
	// publish tells other processes which kinds of device the counters cover, and when
	// they were last read.
	publish(covers []string, until int64)
	// otherHolder returns the other process that has the lock.
	otherHolder() (holder, bool)
	release()
}

// holder is a process that reads counters of the host.
type holder struct {
	Run     string   `json:"run"`
	Process string   `json:"process"`
	Covers  []string `json:"covers,omitempty"`   // kinds of device
	Until   int64    `json:"until_ns,omitempty"` // its last sample, on the clock since boot
}

// lastRead returns when a holder that was seen at a moment had last read the counters: a
// frozen holder measures nothing, and nobody knows whether it will go on.
func (h holder) lastRead(at instant) instant {
	late := at.boot - h.Until
	if h.Until == 0 || late < 0 {
		late = 0
	}
	return instant{boot: at.boot - late, wall: at.wall - late, asleep: at.asleep}
}

// coverage says which process measures a kind of device for this one.
type coverage struct {
	by    measuredBy
	run   string
	until instant // its last sample
}

type measuredBy int

const (
	byNobody   measuredBy = iota
	byOtherRun            // a process of another run, whose account has it
	bySibling             // another process of this run
	byUs                  // this process, with a counter
)

const (
	ownerEnded       = "the process that read the counter of the host ended"
	notUsed          = "the process that reads the counters of the host does not use this one any more"
	notCountedYet    = "it has not counted yet"
	countedByRunText = "counters of the host are read by run %s, whose account has what was drawn"
)

// counterGroup is counters of a host that one process reads for all, under one lock: they
// overlap, and which of them are used is decided together.
type counterGroup struct {
	lock          counterLock
	gauges        []*gauge
	tiers         []int
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
	measuredBefore measuredBy // of an estimate: by which process, at the last sample
	unbooked       string     // why its values since the last booked sample are not booked; "" if it did not move
}

var errNotRead = errors.New("only workers read counters of the host")

// findEverySamples is after how many samples a group looks for new counters.
const findEverySamples = 30

func (b *counterGroup) add(c hostCounter, p *gauge) {
	b.gauges = append(b.gauges, p)
	b.tiers = append(b.tiers, c.tier)
	b.plausibility.add(counterFacts{desc: p.desc, parts: c.parts, mayStandStill: c.mayStandStill})
}

func (b *counterGroup) has(meter string) bool {
	return slices.ContainsFunc(b.gauges, func(p *gauge) bool { return p.desc.Meter == meter })
}

// sampleGroup samples a group of counters: it judges their values, takes or gives up the
// lock, and books what can be believed.
func (s *sampler) sampleGroup(b *counterGroup, at instant, use usage, slots []slot) (done []energy.Record) {
	if s.candidate && b.find != nil {
		if b.samples++; b.samples%findEverySamples == 0 {
			for _, c := range b.find() {
				if !b.has(c.Describe().Meter) {
					p := s.newGauge(c.Source)
					p.standBy(at)
					b.add(c, p)
				}
			}
		}
	}
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
	if b.acquire(s, at, readable); !b.owned {
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
func (b *counterGroup) acquire(s *sampler, at instant, readable bool) {
	if b.owned {
		return
	}
	before, was := b.otherHolder, b.heldElsewhere
	if !readable || !b.lock.tryLock() {
		b.otherHolder, b.heldElsewhere = b.lock.otherHolder()
		return
	}
	b.owned, b.heldElsewhere, b.covered = true, false, nil
	if was && before.Run == s.run && len(before.Covers) > 0 {
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
		chosen[i] = b.tiers[i] < tierNone && v.trust == trusted && (v.outcome == confirmed || b.gauges[i].state == measuring)
		if chosen[i] {
			best = min(best, b.tiers[i])
		}
	}
	for i := range chosen {
		chosen[i] = chosen[i] && b.tiers[i] == best
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
		for _, r := range done {
			if r.Gap != nil {
				s.log("meter %s: %s: counting starts again from here", p.desc.Meter, r.Gap.Reason)
			}
		}
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

// covers returns the kinds of device that this process measures with counters.
func (b *counterGroup) covers() (kinds []string) {
	for _, p := range b.gauges {
		if p.state == measuring {
			kinds = append(kinds, p.desc.Covers...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// uncovered handles a counter that is not used while others of its kind are: nothing
// estimates what it would have measured, so that is a gap.
func (b *counterGroup) uncovered(i int, covers []string, reason string, at instant) []energy.Record {
	p := b.gauges[i]
	if p.state == measuring || b.tiers[i] == tierNone {
		return nil
	}
	beside := false
	for j, other := range b.gauges {
		beside = beside || other.state == measuring && b.tiers[j] == b.tiers[i]
	}
	for _, kind := range p.desc.Covers {
		beside = beside && slices.Contains(covers, kind)
	}
	switch {
	case beside && p.state == missing:
		p.reason = cmp.Or(reason, p.reason)
	case beside:
		if b.unmeasured == "" {
			p.standBy(at) // it was not missing until now
		}
		p.openGapNow(cmp.Or(reason, notCountedYet))
	case p.state == missing:
		return p.closeGapAndStandBy(at)
	}
	return nil
}

// coverage adds the kinds of device that this group covers, and which process measures
// them.
func (b *counterGroup) coverage(run string, at instant, all map[string]coverage) {
	now := coverage{by: byUs, until: at}
	kinds := b.covered
	if !b.owned {
		kinds = b.otherHolder.Covers
		now = coverage{byOtherRun, b.otherHolder.Run, b.otherHolder.lastRead(at)}
		if b.otherHolder.Run == run {
			now.by = bySibling
		}
		if !b.heldElsewhere {
			return
		}
	}
	for _, kind := range kinds {
		if now.by > all[kind].by {
			all[kind] = now
		}
	}
}

// countedByRun returns the reason of a gap that another run measures.
func countedByRun(run string) string { return fmt.Sprintf(countedByRunText, run) }

// unmeasuredReason returns why the time since the last booked sample is not measured, ""
// if it is.
func (p *gauge) unmeasuredReason(at instant) string {
	if p.unreadFor(at) > 0 {
		return p.unbooked
	}
	return ""
}

// usage is the processor time of the host, in ns.
type usage struct {
	busy    int64            // of the whole host since boot
	host    int64            // of the whole host since the last sample
	thisRun int64            // of this run since the last sample
	runs    map[string]int64 // of other runs since the last sample
}

func (u usage) load() energy.Load {
	return energy.Load{HostNanos: max(0, u.host), RunNanos: max(0, u.thisRun), Runs: u.runs}
}

// longGapIntervals is after how many intervals a part of an open gap is stated.
const longGapIntervals = 300
