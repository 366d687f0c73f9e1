package step

import (
	"time"

	"github.com/gramme-project/gramme/internal/roundtrip"
)

// Hearing tells whether anything comes to a worker, and how long that may take. A
// network may be cut one way only: a worker that is heard and hears nothing would stop
// the ring, and nobody would miss it. So it listens to its own heartbeats, and by how
// long they are on their way it knows what its link does to them.
type Hearing struct {
	floor       time.Duration
	link        roundtrip.Estimate
	said, heard time.Time
	awake       time.Time // since when it has not slept: what was under way before says nothing of the link
}

// NewHearing returns one that misses its heartbeats after a time, or later where they
// are long on their way.
func NewHearing(floor time.Duration) *Hearing { return &Hearing{floor: floor} }

// Said notes that a heartbeat is sent, over a connection that stands or does not. It
// reports whether the worker is deaf: it sends, and nothing came back for longer than
// its patience, or ten failure timeouts while no heartbeat has come back yet: of a link
// that was not measured, a slow one looks like one that is cut.
func (h *Hearing) Said(now time.Time, connected bool) (deaf bool) {
	if !connected || now.Sub(h.said) > h.floor/2 { // or it has slept: nothing was to come
		h.heard, h.awake = now, now
	}
	h.said = now
	if !h.link.Known() {
		return now.Sub(h.heard) > 10*h.floor
	}
	return now.Sub(h.heard) > h.Patience(now)
}

// Heard notes that a heartbeat came back that was sent at a time, zero where that is
// not known.
func (h *Hearing) Heard(now, sent time.Time) {
	h.heard = now
	if !sent.IsZero() && !sent.Before(h.awake) && now.Sub(h.said) <= h.floor/2 {
		h.link.Add(now, now.Sub(sent))
	}
}

// Patience is how long nothing may come over the link of this worker before it means
// that the worker is gone: the failure timeout, or longer where the link is slow or
// loses packets.
func (h *Hearing) Patience(now time.Time) time.Duration { return h.link.Patience(now, h.floor) }
