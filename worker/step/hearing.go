package step

import "time"

// Hearing tells whether anything comes to a worker. A network may be cut one way
// only: a worker that is heard and hears nothing would stop the ring, and nobody would
// miss it. So it listens to its own heartbeats.
type Hearing struct {
	patience    time.Duration
	said, heard time.Time
}

// NewHearing returns one that misses its heartbeats after patience.
func NewHearing(patience time.Duration) *Hearing { return &Hearing{patience: patience} }

// Said notes that a heartbeat is sent, over a connection that stands or does not. It
// reports whether the worker is deaf: it sends, and nothing came back for longer than
// its patience.
func (h *Hearing) Said(now time.Time, connected bool) (deaf bool) {
	if !connected || now.Sub(h.said) > h.patience/2 { // or it has slept: nothing was to come
		h.heard = now
	}
	h.said = now
	return now.Sub(h.heard) > h.patience
}

// Heard notes that a heartbeat came back.
func (h *Hearing) Heard(now time.Time) { h.heard = now }
