package step

import (
	"testing"
	"time"
)

// TestEchoes plays heartbeats every 100 ms, of which those that arrive come back at once.
func TestEchoes(t *testing.T) {
	const every, patience = 100 * time.Millisecond, time.Second
	at := func(beats int) time.Duration { return time.Duration(beats) * every }
	for name, c := range map[string]struct {
		arrives, connected func(at time.Duration) bool
		sleeps             time.Duration // from 1 s on nothing is sent for as long
		deaf               time.Duration // since when; 0: never
	}{
		"all is well": {},
		"nothing comes from 2 s on": {
			arrives: func(at time.Duration) bool { return at < 2*time.Second },
			deaf:    at(30), // the last one came at 1.9 s
		},
		"it comes again in time": {arrives: func(at time.Duration) bool { return at < 2*time.Second || at > 2800*time.Millisecond }},
		"the first does not come": {
			arrives: func(time.Duration) bool { return false },
			deaf:    at(101), // its link may be slow
		},
		"the first comes late": {
			arrives: func(at time.Duration) bool { return at > 5*time.Second },
		},
		"without a connection nothing can come": {
			arrives:   func(at time.Duration) bool { return at < 2*time.Second || at > 5*time.Second },
			connected: func(at time.Duration) bool { return at < 2*time.Second || at > 4500*time.Millisecond },
		},
		"a process that slept received nothing meanwhile": {sleeps: 3 * time.Second},
		"a process that slept while nothing came is deaf a second after it woke": {
			arrives: func(at time.Duration) bool { return at < 900*time.Millisecond },
			sleeps:  3 * time.Second,
			deaf:    4*time.Second + at(11),
		},
	} {
		t.Run(name, func(t *testing.T) {
			always := func(time.Duration) bool { return true }
			if c.arrives == nil {
				c.arrives = always
			}
			if c.connected == nil {
				c.connected = always
			}
			h := NewEchoMonitor(patience)
			start := time.Unix(100, 0)
			var deaf time.Duration
			for d := time.Duration(0); d < 12*time.Second; d += every {
				if d == time.Second {
					d += c.sleeps
				}
				if h.Sent(start.Add(d), c.connected(d)) && deaf == 0 {
					deaf = d
				}
				if c.arrives(d) {
					h.Received(start.Add(d), start.Add(d))
				}
			}
			if deaf != c.deaf {
				t.Errorf("deaf since %v, want %v", deaf, c.deaf)
			}
		})
	}
}

// TestPatienceFitsTheLink shows that a worker behind a slow link is not deaf for as long
// as TCP takes to get over losses there, and forgets what did not arrive while it slept.
func TestPatienceFitsTheLink(t *testing.T) {
	const every, floor = 100 * time.Millisecond, time.Second
	for name, c := range map[string]struct {
		trip   time.Duration
		sleeps time.Duration // at 5 s
		stall  time.Duration // at 10 s: nothing arrives for as long
		deaf   bool
	}{
		"near, a stall of 1.5 s":         {100 * time.Microsecond, 0, 1500 * time.Millisecond, true},
		"far, a stall of 1.5 s":          {40 * time.Millisecond, 0, 1500 * time.Millisecond, false},
		"far, a stall of 6 s":            {40 * time.Millisecond, 0, 6 * time.Second, true},
		"far, after a sleep of a minute": {40 * time.Millisecond, time.Minute, 6 * time.Second, true},
	} {
		h := NewEchoMonitor(floor)
		start := time.Unix(100, 0)
		type beat struct{ sent, comes time.Time }
		var under []beat
		deaf, slept := false, time.Duration(0)
		for d := time.Duration(0); d < 20*time.Second; d += every {
			if d == 5*time.Second {
				slept = c.sleeps
			}
			now := start.Add(d + slept)
			for len(under) > 0 && !under[0].comes.After(now) {
				h.Received(maxTime(under[0].comes, now.Add(-every)), under[0].sent)
				under = under[1:]
			}
			deaf = h.Sent(now, true) || deaf
			comes := now.Add(c.trip)
			if d >= 10*time.Second && d < 10*time.Second+c.stall {
				comes = start.Add(10*time.Second + slept + c.stall)
			}
			under = append(under, beat{now, comes})
		}
		if deaf != c.deaf {
			t.Errorf("%s: deaf is %v", name, deaf)
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestPatienceCoversFourLosses has a link on which a heartbeat is lost four times, after the
// first round trip: those after it wait, and the one before it came an interval earlier.
func TestPatienceCoversFourLosses(t *testing.T) {
	const roundTrip, timeout = 40 * time.Millisecond, 240 * time.Millisecond // of TCP
	m, now := NewEchoMonitor(time.Second), time.Unix(100, 0)
	m.Sent(now, true)
	m.Received(now.Add(roundTrip), now)
	silent := HeartbeatInterval(time.Second) + (1+2+4+8)*timeout
	if got := m.Patience(now.Add(time.Second)); got < silent {
		t.Errorf("patience of %s, a heartbeat comes after %s", got, silent)
	}
}
