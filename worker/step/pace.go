package step

import "time"

const (
	// minSamples micro-batches are averaged at least: an outlier is forgotten after as
	// many more.
	minSamples = 4
	maxSamples = 1024 // bounds the memory if micro-batches take almost no time
)

// Pace measures how fast a worker computes, over the micro-batches of the newest span and
// at least four. It counts their wall time, so a machine that is busy half of the time
// shows as half as fast, however short a micro-batch is. The worker's share of a step does
// not matter: waiting is not counted, and old samples expire even if new ones are rare.
type Pace struct {
	span    time.Duration
	samples []sample
	total   time.Duration
}

type sample struct {
	at   time.Time
	took time.Duration
}

// NewPace returns a Pace that has measured nothing.
func NewPace(span time.Duration) *Pace { return &Pace{span: span} }

// Add counts a micro-batch that was finished now.
func (p *Pace) Add(now time.Time, took time.Duration) {
	p.samples = append(p.samples, sample{now, took})
	p.total += took
	for len(p.samples) > maxSamples || len(p.samples) > minSamples && now.Sub(p.samples[0].at) > p.span {
		p.total -= p.samples[0].took
		p.samples = p.samples[1:]
	}
}

// Speed returns micro-batches per second; 0 before the first.
func (p *Pace) Speed() float64 {
	if len(p.samples) == 0 {
		return 0
	}
	return float64(len(p.samples)) / max(p.total.Seconds(), 1e-6)
}
