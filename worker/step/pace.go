package step

import "time"

const (
	// fewest is over how many micro-batches a pace is measured at least: one that was
	// disturbed is out of it after as many more.
	fewest = 4
	most   = 1024 // of those that take no time
)

// Pace measures how fast a worker computes: over the micro-batches of the newest
// span, and four at least. It is their time that counts, so that a machine which is
// busy half of the time shows as half as fast, however short a micro-batch is. It
// does not matter how many of a step are this worker's: what it waits is no part of
// it, and what is past is forgotten after the span even by one that has few.
type Pace struct {
	span  time.Duration
	took  []sample
	total time.Duration
}

type sample struct {
	at   time.Time
	took time.Duration
}

// NewPace returns a Pace that has measured nothing.
func NewPace(span time.Duration) *Pace { return &Pace{span: span} }

// Add counts a micro-batch that is ready now.
func (p *Pace) Add(now time.Time, took time.Duration) {
	p.took = append(p.took, sample{now, took})
	p.total += took
	for len(p.took) > most || len(p.took) > fewest && now.Sub(p.took[0].at) > p.span {
		p.total -= p.took[0].took
		p.took = p.took[1:]
	}
}

// Speed is in micro-batches a second; 0 before the first.
func (p *Pace) Speed() float64 {
	if len(p.took) == 0 {
		return 0
	}
	return float64(len(p.took)) / max(p.total.Seconds(), 1e-6)
}
