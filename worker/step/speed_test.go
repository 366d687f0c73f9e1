package step

import (
	"math"
	"testing"
	"time"
)

func TestSpeedMeter(t *testing.T) {
	m, now := NewSpeedMeter(2*time.Second), time.Unix(1000, 0)
	if m.Speed() != 0 {
		t.Errorf("%g before the first", m.Speed())
	}
	add := func(n int, took, wait time.Duration) {
		for range n {
			now = now.Add(wait + took)
			m.Add(now, took)
		}
	}
	is := func(when string, want float64) {
		t.Helper()
		if got := m.Speed(); math.Abs(got-want) > want/20 {
			t.Errorf("%s: %g, want %g", when, got, want)
		}
	}
	const ms = time.Millisecond
	add(1, 8*time.Second, 0)
	is("the first", 1.0/8)
	add(101, 20*ms, 0)
	is("a slow beginning is past", 50)
	for range 10 { // stopped for every other half of a second
		add(1, 520*ms, 0)
		add(24, 20*ms, 0)
	}
	is("busy half of the time", 25)
	add(101, 20*ms, 0)
	add(1, 500*ms, 0)
	is("a blip counts for what it is", 76/2.0)
	add(101, 20*ms, 0)
	is("and is forgotten", 50)
	add(101, 20*ms, 180*ms)
	is("waiting does not count", 50)
	add(11, 100*ms, 100*ms)
	is("one that has few sees that it is slow as soon", 10)
	add(4, 5*time.Second, time.Minute)
	is("long ones, a few of them", 0.2)
	add(2, time.Second, time.Minute)
	is("half of four", 4/12.0)
	add(10000, 0, 0)
	if len(m.samples) > maxSamples || m.Speed() < 1000 {
		t.Errorf("%d that take no time: %g", len(m.samples), m.Speed())
	}
}
