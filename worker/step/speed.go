package step

import "time"

const (
	// minSamples micro-batches are averaged at least: an outlier is forgotten after as
	// many more.
	minSamples = 4
	maxSamples = 1024 // bounds the memory if micro-batches take almost no time
)

// SpeedMeter measures how fast a worker computes, over the micro-batches of the newest span and
// at least four. It counts their wall time, so a machine that is busy half of the time
// shows as half as fast, however short a micro-batch is. The worker's share of a step does
// not matter: waiting is not counted, and old samples expire even if new ones are rare.
type SpeedMeter struct {
	span    time.Duration
	samples []sample
	total   time.Duration
}

type sample struct {
	at   time.Time
	took time.Duration
}

// NewSpeedMeter returns a SpeedMeter that has measured nothing.
func NewSpeedMeter(span time.Duration) *SpeedMeter { return &SpeedMeter{span: span} }

// Add counts a micro-batch that was finished now.
func (m *SpeedMeter) Add(now time.Time, took time.Duration) {
	m.samples = append(m.samples, sample{now, took})
	m.total += took
	for len(m.samples) > maxSamples || len(m.samples) > minSamples && now.Sub(m.samples[0].at) > m.span {
		m.total -= m.samples[0].took
		m.samples = m.samples[1:]
	}
}

// Speed returns micro-batches per second; 0 before the first.
func (m *SpeedMeter) Speed() float64 {
	if len(m.samples) == 0 {
		return 0
	}
	return float64(len(m.samples)) / max(m.total.Seconds(), 1e-6)
}
