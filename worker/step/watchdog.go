package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// newest is how many computations a Watchdog remembers: the longest of them says
	// how long the next one may take.
	newest = 16
	// patient is how many times as long as the longest of them a computation may take,
	// and hasty likewise where the run is to stop.
	patient, hasty = 20, 5
	// A process that uses less than one part in busyShare of a processor does not
	// compute. One that uses more has busyTimes as long: it is likely to be slow only.
	busyShare, busyTimes = 20, 4
)

// Limits say how long a computation may take, however quick those before it were.
type Limits struct {
	Least time.Duration // in any case
	First time.Duration // likewise, until one has returned
	Hasty time.Duration // instead of both, where the run is to stop
	Fixed time.Duration // not 0: instead of all else
}

// ComputeLimits are those of a micro-batch, where a failure is seen within patience. It
// should take about as long as is expected (0: nobody knows); fixed is what a user says
// that it may take, or 0.
func ComputeLimits(patience, expected, fixed time.Duration) Limits {
	return Limits{
		Least: 10 * patience, First: max(30*patience, patient*expected), Hasty: 3 * patience, Fixed: fixed,
	}
}

// UpdateLimits are those of what changes the whole state. The first must not take longer
// than a worker is heard of meanwhile.
func UpdateLimits(patience time.Duration) Limits {
	return Limits{Least: 10 * patience, First: 20 * patience, Hasty: 3 * patience}
}

// Used is what a process has taken since its start, as the system says.
type Used struct {
	Processor time.Duration
	Faults    int64 // pages that had to come from disk
}

// Watchdog finds out that a computation does not return: a kernel that hangs, a
// deadlock, a thread that is stopped. How long one may take follows from how long the
// newest took.
//
// It counts the ticks of the process that computes, not the time of day: a process
// that was frozen, with all that it does, or whose machine slept, has not been
// computing. Where the processor or the disk is busy with the computation, four
// seconds count as one, because a machine that is overloaded or swaps is slow, and
// does not hang. So it may cry too late, or too early after all: that costs a
// generation, and never the result.
type Watchdog struct {
	limits Limits
	every  time.Duration // between two ticks, as they should come

	tick  time.Time // the newest
	used  Used
	awake time.Duration // in which this process ran
	spent time.Duration // likewise, less where it was busy

	running bool
	since   time.Duration   // awake when the computation began
	from    time.Duration   // spent likewise
	took    []time.Duration // the newest, in time awake
}

// NewWatchdog returns one that ticks every so often from now on.
func NewWatchdog(now time.Time, used Used, every time.Duration, limits Limits) *Watchdog {
	return &Watchdog{limits: limits, every: every, tick: now, used: used}
}

// Begin notes that a computation begins.
func (d *Watchdog) Begin(now time.Time) {
	d.running, d.since, d.from = true, d.awake+d.ran(now), d.spent+d.ran(now)
}

// End notes that it has returned.
func (d *Watchdog) End(now time.Time) {
	d.running = false
	d.took = append(d.took, d.awake+d.ran(now)-d.since)
	if len(d.took) > newest {
		d.took = d.took[1:]
	}
}

// ran is the time since the newest tick, as far as this process ran: where the next
// tick is late, it did not.
func (d *Watchdog) ran(now time.Time) time.Duration { return min(now.Sub(d.tick), 2*d.every) }

// Tick counts the time since the tick before. It comes again and again, whether
// anything is computed or not.
func (d *Watchdog) Tick(now time.Time, used Used) {
	ran := d.ran(now)
	d.awake += ran
	if used.Faults > d.used.Faults || (used.Processor-d.used.Processor)*busyShare >= now.Sub(d.tick) {
		ran /= busyTimes
	}
	d.spent += ran
	d.tick, d.used = now, used
}

// Overdue tells whether the computation will not return. Stopping says that the run
// waits for it in order to stop.
func (d *Watchdog) Overdue(stopping bool) bool {
	return d.running && d.spent-d.from > d.limit(stopping)
}

func (d *Watchdog) limit(stopping bool) time.Duration {
	times, least := time.Duration(patient), d.limits.Least
	switch {
	case d.limits.Fixed > 0:
		return d.limits.Fixed
	case len(d.took) == 0: // it may be slower than any after it
		return max(d.limits.Least, d.limits.First)
	case stopping:
		times, least = hasty, min(least, d.limits.Hasty)
	}
	return max(least, times*slices.Max(d.took))
}

// Evidence says what is wrong with a computation that is overdue. The name is that of
// its kind, in the plural.
func (d *Watchdog) Evidence(name string) string {
	text := "its computation did not return for " + seconds(d.awake-d.since)
	if len(d.took) == 0 {
		return fmt.Sprintf("%s (it is the first of its %s)", text, name)
	}
	took := slices.Clone(d.took)
	slices.Sort(took)
	return fmt.Sprintf("%s (%s take %s)", text, name, seconds(took[len(took)/2]))
}

// SuspectSelf is what a worker says of itself whose computation does not return, by its
// newest heartbeat. It ends, so that this is final.
func SuspectSelf(b wire.Beat, evidence string) wire.Suspicion {
	return wire.Suspicion{
		Generation: b.Generation, From: b.ID, Subject: b.ID, Incarnation: b.Incarnation, Evidence: wire.Evidence(evidence), Final: true, Hung: true,
	}
}

// seconds writes a duration for people.
func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	case s >= 0.1:
		return fmt.Sprintf("%.1f s", s)
	default:
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
}
