package meter

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/gramme-project/gramme/energy"
)

const (
	// longEnough is how long a contradiction lasts before it is believed: an
	// update of a counter may be late, but not for seconds.
	longEnough = 3 * time.Second
	// loaded is the processor time of a host in which no counter of it stands
	// still: a processor that works draws watts.
	loaded = time.Second
	// A whole may read less than the sum of its parts by this factor and by this
	// many µJ, since they are not read at the same moment.
	tolerance  = 0.9
	negligible = 500_000
	// A counter that gave so many impossible values within a minute is not used.
	maxFaults    = 3
	faultsWithin = time.Minute
	// A counter that was caught is used again when nothing has spoken against it
	// for this long, twice as long after each time.
	probation        = time.Minute
	longestProbation = time.Hour
)

// zoneFacts is what is known of a counter before it is read.
type zoneFacts struct {
	desc  Description
	parts []string // meters of devices that lie inside this one
	rests bool     // it may stand still however much the host does
}

// value is what a counter gave at a look.
type value struct {
	raw uint64
	err error
}

// observation is one look at all counters of a host.
type observation struct {
	awake  int64   // ns since boot, without the time that the host was suspended
	busy   int64   // ns of processor time that the whole host used since boot
	values []value // one a zone
}

// outcome is what a look at a counter is worth.
type outcome int

const (
	unread    outcome = iota // it gave nothing
	undecided                // nothing to book yet: a later look shows whether this one is believed
	confirmed                // all since the last confirmed look can be booked
	refused                  // the value cannot follow the one before
)

// trust is what is thought of a counter.
type trust int

const (
	unproven   trust = iota // it has not counted yet
	trusted                 // it counts, and nothing contradicts it
	distrusted              // it was caught
)

// verdict says what to do with a value.
type verdict struct {
	outcome outcome
	trust   trust
	caught  bool   // trust ended with this look
	reason  string // why the value or the counter is not used
}

// plausibility judges counters of one host against each other, against the time
// and against what the host's processors did. It does no I/O. A counter is used
// from the first look at which it has moved and nothing contradicts it. It loses
// that when it stands still while the processors work, when it reads less than what
// lies inside it, or when it gives several values that no device can draw.
type plausibility struct {
	zones    []watched
	patience time.Duration // for which a counter may be unreadable
}

// watched is what is remembered of a counter.
type watched struct {
	zoneFacts
	trust  trust
	reason string // why it is distrusted or not read

	known bool // it has given a value
	raw   uint64
	at    int64 // awake, when it was given

	// Since the last confirmed look:
	since  int64 // awake, when that was
	busy   int64
	moved  int64 // µJ
	inside int64 // µJ of its parts

	faults []int64 // awake, when impossible values came
	clean  int64   // awake, since when nothing speaks against it
	proof  time.Duration
}

// watch adds a counter, whose index is the next one.
func (p *plausibility) watch(f zoneFacts) { p.zones = append(p.zones, watched{zoneFacts: f}) }

// observe takes a look, with a value for every zone, and judges each.
func (p *plausibility) observe(o observation) []verdict {
	verdicts := make([]verdict, len(p.zones))
	steps := make([]int64, len(p.zones)) // µJ since the look before, 0 where it is not known
	for i := range p.zones {
		steps[i], verdicts[i] = p.zones[i].take(o, o.values[i])
	}
	for i := range p.zones {
		z := &p.zones[i]
		for j, part := range p.zones {
			if z.since < o.awake && part.trust != distrusted && z.holds(part.desc.Meter) {
				z.inside = saturate(z.inside, steps[j])
			}
		}
		if verdicts[i].outcome == undecided {
			verdicts[i] = z.judge(o, p.partNames(z))
		}
		if z.known && o.awake-z.at > int64(p.patience) && z.trust == trusted {
			z.trust, z.reason = unproven, fmt.Sprintf("%s: %v", unreadable, o.values[i].err)
			verdicts[i].caught = true
		}
		verdicts[i].trust = z.trust
		if verdicts[i].reason == "" && z.trust != trusted {
			verdicts[i].reason = z.reason
		}
	}
	return verdicts
}

func (z *watched) holds(meter string) bool {
	for _, part := range z.parts {
		if part == meter {
			return true
		}
	}
	return false
}

// partNames are the parts of a zone that are known and believed, with their verb.
func (p *plausibility) partNames(z *watched) string {
	var names []string
	for _, part := range p.zones {
		if part.known && part.trust != distrusted && z.holds(part.desc.Meter) {
			names = append(names, shortName(part.desc.Meter))
		}
	}
	verb := " read"
	if len(names) == 1 {
		verb = " reads"
	}
	return strings.Join(names, " and ") + verb
}

// take notes a value: how far the counter has moved since the last one, or what
// is wrong with it. What remains to be judged is undecided.
func (z *watched) take(o observation, v value) (step int64, _ verdict) {
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
		z.anchor(o)
		z.clean = o.awake
		return 0, verdict{outcome: undecided}
	}
	delta, _, fault := difference(z.desc, z.raw, v.raw, time.Duration(o.awake-z.at))
	z.raw, z.at = v.raw, o.awake
	if fault == "" {
		var ok bool
		if step, _, ok = energy.Scale(delta, z.desc.Num, z.desc.Den, 0); ok {
			z.moved = saturate(z.moved, step)
			return step, verdict{outcome: undecided}
		}
		fault = "counter went further than can be counted"
	}
	return 0, z.refuse(o, fault)
}

// refuse counts an impossible value. Several of them are a counter that lies.
func (z *watched) refuse(o observation, fault string) verdict {
	z.anchor(o)
	z.clean = o.awake
	for len(z.faults) > 0 && o.awake-z.faults[0] > int64(faultsWithin) {
		z.faults = z.faults[1:]
	}
	if z.faults = append(z.faults, o.awake); len(z.faults) < maxFaults {
		return verdict{outcome: refused, reason: fault}
	}
	z.faults = nil
	v := z.catch(o, fmt.Sprintf("%d values within a minute that cannot be: %s", maxFaults, fault))
	v.outcome = refused
	return v
}

// judge decides about what the counter did since the last confirmed look.
func (z *watched) judge(o observation, parts string) verdict {
	elapsed := time.Duration(o.awake - z.since)
	load := time.Duration(o.busy - z.busy)
	short := float64(z.moved) < tolerance*float64(z.inside) && z.inside-z.moved > negligible
	switch {
	case z.rests || z.moved > 0 && !short:
		z.anchor(o)
		if z.trust == unproven || z.trust == distrusted && o.awake-z.clean >= int64(z.proof) {
			z.trust, z.reason = trusted, ""
		}
		return verdict{outcome: confirmed}
	case short:
		name := shortName(z.desc.Meter)
		less := fmt.Sprintf("%s reads %s W while %s %s W", name, watts(z.moved, elapsed), parts, watts(z.inside, elapsed))
		if elapsed < longEnough {
			return verdict{outcome: undecided, reason: less}
		}
		return z.catch(o, less+": "+name+" is not used")
	case elapsed < longEnough:
	case z.moved == 0 && load >= loaded:
		return z.catch(o, fmt.Sprintf("the counter stood still at %d for %.1f s, in which the processors of the host worked for %.1f s",
			z.raw, elapsed.Seconds(), load.Seconds()))
	}
	return verdict{outcome: undecided}
}

// catch takes the trust away for a while.
func (z *watched) catch(o observation, reason string) verdict {
	v := verdict{outcome: undecided, caught: z.trust != distrusted, reason: reason}
	if v.caught {
		z.proof = min(max(2*z.proof, probation), longestProbation)
	}
	z.trust, z.reason, z.clean = distrusted, reason, o.awake
	z.anchor(o)
	return v
}

// anchor begins to compare from this look on.
func (z *watched) anchor(o observation) {
	z.since, z.busy, z.moved, z.inside = o.awake, o.busy, 0, 0
}

// difference returns how far a counter went and how often it wrapped, or why that
// cannot be known. The time is that in which the host was awake.
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
	if limit := d.MaxWatts * margin * (awake + lateness).Seconds() * 1e6; limit > 0 && float64(delta)*microJ > limit {
		return 0, 0, fmt.Sprintf("counter went from %d to %d in %s, more than the device can draw", from, to, awake.Round(time.Millisecond))
	}
	return delta, wraps, ""
}

// watts is a mean power as messages show it.
func watts(microJ int64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return fmt.Sprintf("%.3g", float64(microJ)/1e6/d.Seconds())
}

// shortName is a meter's name without the kind of counter.
func shortName(meter string) string { return strings.TrimPrefix(meter, "rapl:") }

// saturate adds two amounts that are not negative.
func saturate(a, b int64) int64 {
	if sum, ok := energy.Add(a, b); ok {
		return sum
	}
	return math.MaxInt64
}
