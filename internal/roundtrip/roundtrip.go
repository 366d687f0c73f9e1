// Package roundtrip derives from the round trips of a link for how long a live peer may be
// silent. When a packet is lost, TCP waits for its retransmission timeout, and twice as
// long each time that the same packet is lost again. Meanwhile nothing comes from a peer
// that works.
//
// It guarantees that a link within a machine or a room has the floor as its limit while
// its round trips are short. The limit of a link across a network covers four losses in a
// row, and a multiple of the longest recent stall. The package has no clock: time comes in
// as values.
package roundtrip

import "time"

const (
	// near is the least round trip of a link that crosses a network. Below it a
	// retransmission needs no timeout: the answers to later packets tell of the loss.
	near = 2 * time.Millisecond
	// leastTimeout is the least that Linux adds to a round trip before it sends again.
	leastTimeout = 200 * time.Millisecond
	// losses is how often in a row the same packet may be lost: 1+2+4+8 timeouts.
	losses = 4
	// stalls is how many times longer than the longest stall the next one may be.
	stalls = 3
	// memory is after how long a stall counts half.
	memory = 30 * time.Second
	// longest is the upper limit of every link.
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

// Patience is for how long the peer may be silent: the floor at least.
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

// Bound is for how long the peer may be silent, by the smoothed round trip of the link, the
// variation of that, and the least round trip.
func Bound(smoothed, variance, least time.Duration) time.Duration {
	if least < near {
		return 2 * (smoothed + 4*variance)
	}
	return min(longest, (1<<losses-1)*(smoothed+max(leastTimeout, 4*variance)))
}
