package meter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/energy"
)

const (
	// contradictionAfter is how long a contradiction lasts before it is believed: an
	// update of a counter may be late, but not for seconds.
	contradictionAfter = 3 * time.Second
	// busyEnough is the processor time of a host in which none of its counters stands
	// still: a busy processor draws watts.
	busyEnough = time.Second
	// A whole may read less than the sum of its parts by this factor and by this many µJ,
	// since they are not read at the same moment.
	tolerance        = 0.9
	negligibleMicroJ = 500_000
	// maxFaults impossible values within a minute make a counter distrusted.
	maxFaults    = 3
	faultsWithin = time.Minute
	// probation is how long nothing may contradict a distrusted counter before it is used
	// again; it doubles each time.
	probation        = time.Minute
	longestProbation = time.Hour
)

// counterFacts is what is known about a counter before it is read.
type counterFacts struct {
	desc          Description
	parts         []string // meters of devices that lie inside this one
	mayStandStill bool     // however busy the host is
}

// value is what a counter gave at a sample.
type value struct {
	raw uint64
	err error
}

// observation is one sample of all counters of a host.
type observation struct {
	awake  int64   // ns since boot, without the time that the host was suspended
	busy   int64   // ns of processor time that the whole host used since boot
	values []value // one per counter
}

// outcome says what can be done with a value.
type outcome int

const (
	unread    outcome = iota // there is no value
	undecided                // nothing to book yet: a later sample shows whether this one is believed
	confirmed                // everything since the last confirmed sample can be booked
	rejected                 // the value cannot follow the one before
)

// trust is whether a counter is believed.
type trust int

const (
	unproven   trust = iota // it has not counted yet
	trusted                 // it counts, and nothing contradicts it
	distrusted              // something contradicted it
)

// verdict says what to do with a value.
type verdict struct {
	outcome   outcome
	trust     trust
	lostTrust bool   // trust ended with this sample
	reason    string // why the value or the counter is not used
}

// plausibility judges the counters of one host against each other, against time and
// against the use of the host's processors. It does no I/O. A counter is trusted from the
// first sample at which it has moved and nothing contradicts it. It loses trust when it
// stands still while the processors work, when it reads less than what lies inside it, or
// when it gives several values that no device can draw.
type plausibility struct {
	counters []counterState
	patience time.Duration // for which a counter may be unreadable
}

// counterState is what is remembered about a counter.
type counterState struct {
	counterFacts
	trust  trust
	reason string // why it is distrusted or not read

	known bool // it has given a value
	raw   uint64
	at    int64 // awake, when it was given

	// Since the last confirmed sample:
	comparedSince int64 // awake, when that was
	busyThen      int64
	moved         int64 // µJ
	partsMoved    int64 // µJ

	faults     []int64 // awake, when impossible values came
	cleanSince int64   // awake, since when nothing contradicts it
	probation  time.Duration
}

// add adds a counter, whose index is the next one.
func (p *plausibility) add(f counterFacts) {
	p.counters = append(p.counters, counterState{counterFacts: f})
}

// observe takes a sample with a value for every counter, and judges each.
func (p *plausibility) observe(o observation) []verdict {
	verdicts := make([]verdict, len(p.counters))
	steps := make([]int64, len(p.counters)) // µJ since the last sample, 0 if unknown
	for i := range p.counters {
		steps[i], verdicts[i] = p.counters[i].note(o, o.values[i])
	}
	for i := range p.counters {
		z := &p.counters[i]
		for j, part := range p.counters {
			if z.comparedSince < o.awake && part.trust != distrusted && z.contains(part.desc.Meter) {
				z.partsMoved = energy.AddSaturating(z.partsMoved, steps[j])
			}
		}
		if verdicts[i].outcome == undecided {
			verdicts[i] = z.decide(o, p.partNames(z))
		}
		if z.known && o.awake-z.at > int64(p.patience) && z.trust == trusted {
			z.trust, z.reason = unproven, fmt.Sprintf("%s: %v", unreadable, o.values[i].err)
			verdicts[i].lostTrust = true
		}
		verdicts[i].trust = z.trust
		if verdicts[i].reason == "" && z.trust != trusted {
			verdicts[i].reason = z.reason
		}
	}
	return verdicts
}

func (z *counterState) contains(meter string) bool { return slices.Contains(z.parts, meter) }

// partNames returns the known and trusted parts of a counter, with their verb.
func (p *plausibility) partNames(z *counterState) string {
	var names []string
	for _, part := range p.counters {
		if part.known && part.trust != distrusted && z.contains(part.desc.Meter) {
			names = append(names, shortName(part.desc.Meter))
		}
	}
	verb := " read"
	if len(names) == 1 {
		verb = " reads"
	}
	return strings.Join(names, " and ") + verb
}

// note takes a value: how far the counter has moved since the last one, or what is wrong
// with it. A value that remains to be judged is undecided.
func (z *counterState) note(o observation, v value) (step int64, _ verdict) {
	if v.err != nil {
		if z.reason == "" && z.trust != distrusted {
			z.reason = fmt.Sprintf("%s: %v", unreadable, v.err)
		}
		return 0, verdict{outcome: unread}
	}
	if z.trust == unproven {
		z.reason = ""
	}
	if !z.known {
		z.known, z.raw, z.at = true, v.raw, o.awake
		z.restartComparison(o)
		z.cleanSince = o.awake
		return 0, verdict{outcome: undecided}
	}
	delta, _, fault := difference(z.desc, z.raw, v.raw, time.Duration(o.awake-z.at))
	z.raw, z.at = v.raw, o.awake
	if fault == "" {
		var ok bool
		if step, _, ok = energy.Scale(delta, z.desc.Num, z.desc.Den, 0); ok {
			z.moved = energy.AddSaturating(z.moved, step)
			return step, verdict{outcome: undecided}
		}
		fault = "counter went further than can be counted"
	}
	return 0, z.rejectValue(o, fault)
}

// rejectValue counts an impossible value. Several of them make the counter distrusted.
func (z *counterState) rejectValue(o observation, fault string) verdict {
	z.restartComparison(o)
	z.cleanSince = o.awake
	for len(z.faults) > 0 && o.awake-z.faults[0] > int64(faultsWithin) {
		z.faults = z.faults[1:]
	}
	if z.faults = append(z.faults, o.awake); len(z.faults) < maxFaults {
		return verdict{outcome: rejected, reason: fault}
	}
	z.faults = nil
	v := z.distrust(o, fmt.Sprintf("%d values within a minute that cannot be: %s", maxFaults, fault))
	v.outcome = rejected
	return v
}

// decide judges what the counter did since the last confirmed sample.
func (z *counterState) decide(o observation, parts string) verdict {
	elapsed := time.Duration(o.awake - z.comparedSince)
	load := time.Duration(o.busy - z.busyThen)
	short := float64(z.moved) < tolerance*float64(z.partsMoved) && z.partsMoved-z.moved > negligibleMicroJ
	switch {
	case z.mayStandStill || z.moved > 0 && !short:
		z.restartComparison(o)
		if z.trust == unproven || z.trust == distrusted && o.awake-z.cleanSince >= int64(z.probation) {
			z.trust, z.reason = trusted, ""
		}
		return verdict{outcome: confirmed}
	case short:
		name := shortName(z.desc.Meter)
		less := fmt.Sprintf("%s reads %s W while %s %s W", name, watts(z.moved, elapsed), parts, watts(z.partsMoved, elapsed))
		if elapsed < contradictionAfter {
			return verdict{outcome: undecided, reason: less}
		}
		return z.distrust(o, less+": "+name+" is not used")
	case elapsed < contradictionAfter:
	case z.moved == 0 && load >= busyEnough:
		return z.distrust(o, fmt.Sprintf("the counter stood still at %d for %.1f s, in which the processors of the host worked for %.1f s",
			z.raw, elapsed.Seconds(), load.Seconds()))
	}
	return verdict{outcome: undecided}
}

// distrust ends trust in the counter for a while.
func (z *counterState) distrust(o observation, reason string) verdict {
	v := verdict{outcome: undecided, lostTrust: z.trust != distrusted, reason: reason}
	if v.lostTrust {
		z.probation = min(max(2*z.probation, probation), longestProbation)
	}
	z.trust, z.reason, z.cleanSince = distrusted, reason, o.awake
	z.restartComparison(o)
	return v
}

// restartComparison compares from this sample on.
func (z *counterState) restartComparison(o observation) {
	z.comparedSince, z.busyThen, z.moved, z.partsMoved = o.awake, o.busy, 0, 0
}

// difference returns how far a counter went and how often it wrapped, or why that cannot
// be known. awake is how long the host was awake between the two values.
func difference(d Description, from, to uint64, awake time.Duration) (delta, wraps uint64, fault string) {
	awake = max(0, awake)
	microJ := float64(d.Num) / float64(d.Den) // of one raw unit
	if d.Range > 0 && d.MaxWatts > 0 && awake.Seconds()*d.MaxWatts*1e6 > float64(d.Range)*microJ/2 {
		return 0, 0, fmt.Sprintf("not read for %s, in which it may have wrapped unseen", awake.Round(time.Second))
	}
	if to < from {
		wraps = 1
	}
	delta, ok := energy.RawDelta(from, to, d.Range, wraps)
	if !ok {
		return 0, 0, fmt.Sprintf("counter fell from %d to %d", from, to)
	}
	if limit := d.MaxWatts * powerMargin * (awake + maxLateness).Seconds() * 1e6; limit > 0 && float64(delta)*microJ > limit {
		return 0, 0, fmt.Sprintf("counter went from %d to %d in %s, more than the device can draw", from, to, awake.Round(time.Millisecond))
	}
	return delta, wraps, ""
}

// watts formats a mean power for messages.
func watts(microJ int64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return fmt.Sprintf("%.3g", float64(microJ)/1e6/d.Seconds())
}

// shortName returns a meter's name without the kind of counter.
func shortName(meter string) string { return strings.TrimPrefix(meter, "rapl:") }
