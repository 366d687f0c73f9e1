package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// remembered is how many computations a Watchdog remembers: the limit follows from them.
	remembered = 16
	// A computation may take usualFactor times the median of them, and longestFactor times
	// the longest: one that was held up once must not hide a hang for minutes.
	usualFactor, longestFactor = 20, 4
	// While the run is to stop, a computation may take stoppingFactor times the median, or as
	// long as the longest.
	stoppingFactor = 5
	// A process that uses less than 1/busyShare of a processor does not compute. One that
	// uses more is probably only slow, and gets busyDiscount times as long.
	busyShare, busyDiscount = 20, 4
)

// Limits are the least limits: a computation may take this long, however short earlier ones
// were.
type Limits struct {
	Least    time.Duration // in any case
	First    time.Duration // until the first one has returned
	Stopping time.Duration // in place of Least, if the run is to stop and one has returned
	Fixed    time.Duration // not 0: the limit, in place of all else
}

// ComputeLimits returns the limits of a micro-batch. patience is the time within which a
// failure should be noticed. expected is about how long a micro-batch takes, 0 if unknown.
// fixed is the user's own limit, or 0.
func ComputeLimits(patience, expected, fixed time.Duration) Limits {
	return Limits{
		Least: 10 * patience, First: max(30*patience, usualFactor*expected), Stopping: 3 * patience, Fixed: fixed,
	}
}

// UpdateLimits returns the limits of an update of the whole state. The first update must
// end while the worker still counts as alive.
func UpdateLimits(patience time.Duration) Limits {
	return Limits{Least: 10 * patience, First: 20 * patience, Stopping: 3 * patience}
}

// Usage is what a process has used since its start, as the system reports it.
type Usage struct {
	Processor time.Duration
	Faults    int64 // pages that had to come from disk
}

// Watchdog detects a computation that does not return: a hung kernel, a deadlock, a
// stopped thread. The limit follows from how long the newest computations took.
//
// It counts ticks of the computing process, not the time of day: a process that was
// frozen, or whose machine slept, has not been computing. While the processor or the disk
// is busy with the computation, four seconds count as one, because a machine that is
// overloaded or swaps is slow and does not hang. So the watchdog may fire too late, and
// now and then too early: that costs a generation, never the result.
type Watchdog struct {
	limits Limits
	every  time.Duration // between two ticks, nominally

	lastTick time.Time
	usage    Usage
	ranFor   time.Duration // how long this process has run
	charged  time.Duration // the same, but busy time counts a quarter

	running        bool
	ranAtBegin     time.Duration   // ranFor when the computation began
	chargedAtBegin time.Duration   // charged when the computation began
	durations      []time.Duration // of the newest computations, in ranFor
}

// NewWatchdog returns a watchdog that expects a tick per interval from now on.
func NewWatchdog(now time.Time, used Usage, every time.Duration, limits Limits) *Watchdog {
	return &Watchdog{limits: limits, every: every, lastTick: now, usage: used}
}

// Begin starts the clock of a computation.
func (d *Watchdog) Begin(now time.Time) {
	d.running, d.ranAtBegin, d.chargedAtBegin = true, d.ranFor+d.ranSinceTick(now), d.charged+d.ranSinceTick(now)
}

// End notes that the computation has returned.
func (d *Watchdog) End(now time.Time) {
	d.running = false
	d.durations = append(d.durations, d.ranFor+d.ranSinceTick(now)-d.ranAtBegin)
	if len(d.durations) > remembered {
		d.durations = d.durations[1:]
	}
}

// ranSinceTick returns how long this process ran since the newest tick: a process whose
// next tick is late did not run.
func (d *Watchdog) ranSinceTick(now time.Time) time.Duration {
	return min(now.Sub(d.lastTick), 2*d.every)
}

// Tick counts the time since the last tick. Ticks come whether anything is computed or
// not.
func (d *Watchdog) Tick(now time.Time, used Usage) {
	ran := d.ranSinceTick(now)
	d.ranFor += ran
	if used.Faults > d.usage.Faults || (used.Processor-d.usage.Processor)*busyShare >= now.Sub(d.lastTick) {
		ran /= busyDiscount
	}
	d.charged += ran
	d.lastTick, d.usage = now, used
}

// Overdue reports whether the computation counts as hung. stopping: the run waits for it
// in order to stop.
func (d *Watchdog) Overdue(stopping bool) bool {
	return d.running && d.charged-d.chargedAtBegin > d.limit(stopping)
}

func (d *Watchdog) limit(stopping bool) time.Duration {
	times, longest, least := time.Duration(usualFactor), time.Duration(longestFactor), d.limits.Least
	switch {
	case d.limits.Fixed > 0:
		return d.limits.Fixed
	case len(d.durations) == 0: // the first may be slower than any after it
		return max(d.limits.Least, d.limits.First)
	case stopping:
		times, longest, least = stoppingFactor, 1, min(least, d.limits.Stopping)
	}
	return max(least, times*d.median(), longest*slices.Max(d.durations))
}

// median is that of the newest computations.
func (d *Watchdog) median() time.Duration {
	took := slices.Clone(d.durations)
	slices.Sort(took)
	return took[len(took)/2]
}

// Evidence describes an overdue computation. name is its kind, in the plural.
func (d *Watchdog) Evidence(name string) string {
	text := "its computation did not return for " + seconds(d.ranFor-d.ranAtBegin)
	if len(d.durations) == 0 {
		return fmt.Sprintf("%s (it is the first of its %s)", text, name)
	}
	return fmt.Sprintf("%s (%s take %s)", text, name, seconds(d.median()))
}

// SuspectSelf returns the suspicion by which a worker reports its own hung computation,
// from its newest heartbeat. It is final, because the worker exits.
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
