// Package roundtrip derives from the round trips of a link how long nothing may come
// over it before that means anything. TCP waits for its retransmission timeout where
// packets are lost, and twice as long each time that the same is lost again: of a
// peer that is well nothing is heard meanwhile.
//
// It guarantees that a link within a machine, or a room, has no more than its floor
// while its round trips are short, and that one across a network gets as long as four
// losses in a row take, and a multiple of the longest stall that was seen lately. It
// has no clock: time comes in as values.
package roundtrip

import "time"

const (
	// near is the least round trip of a link that crosses a network. Below it a
	// retransmission needs no timeout: the answers to later packets tell of the loss.
	near = 2 * time.Millisecond
	// leastTimeout is the least that Linux adds to a round trip before it sends again.
	leastTimeout = 200 * time.Millisecond
	// losses is how often in a row the same may be lost: 1+2+4+8 timeouts.
	losses = 4
	// stalls is how many times as long as the longest stall the next may be.
	stalls = 3
	// memory is after how long a stall counts half.
	memory = 30 * time.Second
	// longest is the most that any link gets.
	longest = 30 * time.Second
)

// Estimate is the knowledge about a link. The zero value knows nothing.
type Estimate struct {
	known              bool
	smoothed, variance time.Duration // as in RFC 6298
	least              time.Duration
	stall              time.Duration // the longest lately
	at                 time.Time     // when stall was brought up to date
}

// Known reports whether a round trip was counted.
func (e *Estimate) Known() bool { return e.known }

// Add counts a round trip that has just ended.
func (e *Estimate) Add(now time.Time, took time.Duration) {
	took = max(took, 0)
	if !e.known {
		*e = Estimate{known: true, smoothed: took, variance: took / 2, least: took, stall: took, at: now}
		return
	}
	e.stall, e.at = max(e.stallAt(now), took), now
	e.least = min(e.least, took)
	took = min(took, e.smoothed+4*e.variance+leastTimeout) // the rest is a stall
	e.variance += ((e.smoothed - took).Abs() - e.variance) / 4
	e.smoothed += (took - e.smoothed) / 8
}

// stallAt is the longest stall as it counts at a time.
func (e *Estimate) stallAt(now time.Time) time.Duration {
	passed, stall := now.Sub(e.at), e.stall
	for ; passed >= memory; passed -= memory {
		stall /= 2
	}
	return stall - time.Duration(float64(stall)*float64(max(passed, 0))/float64(2*memory))
}

// Patience is how long nothing may come: the floor at least.
func (e *Estimate) Patience(now time.Time, floor time.Duration) time.Duration {
	if !e.known {
		return floor
	}
	want := Bound(e.smoothed, e.variance, e.least)
	if e.least >= near {
		want = max(want, stalls*e.stallAt(now))
	}
	return max(floor, min(want, longest))
}

// Bound is how long nothing may come over a link by its smoothed round trip, the
// variation of that, and the least one.
func Bound(smoothed, variance, least time.Duration) time.Duration {
	if least < near {
		return 2 * (smoothed + 4*variance)
	}
	return min(longest, (1<<losses-1)*(smoothed+max(leastTimeout, 4*variance)))
}
