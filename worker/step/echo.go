package step

import (
	"time"

	"github.com/gramme-project/gramme/internal/roundtrip"
	"github.com/gramme-project/gramme/internal/wire"
)

// EchoMonitor watches a worker's own heartbeats return to it. A network may fail in one
// direction only: a worker that sends but receives nothing would stall the ring, and its
// heartbeats would still arrive elsewhere. The round trip of the heartbeats also measures
// the link.
type EchoMonitor struct {
	floor                  time.Duration // least patience: the failure timeout
	roundTrip              roundtrip.Estimate
	lastSent, lastReceived time.Time
	awakeSince             time.Time // end of the last suspension: echoes of earlier heartbeats say nothing about the link
}

// HeartbeatInterval is the time between two heartbeats of a worker.
func HeartbeatInterval(failureTimeout time.Duration) time.Duration { return failureTimeout / 5 }

// NewEchoMonitor returns a monitor whose patience is at least floor.
func NewEchoMonitor(floor time.Duration) *EchoMonitor { return &EchoMonitor{floor: floor} }

// Sent notes that a heartbeat is sent, and whether the connection is up. It reports
// whether the worker is deaf: it sends, and nothing came back for longer than its patience.
// Until the first heartbeat has come back, patience is wire.UnmeasuredTimeouts failure timeouts.
func (m *EchoMonitor) Sent(now time.Time, connected bool) (deaf bool) {
	if !connected || now.Sub(m.lastSent) > m.floor/2 { // the process slept: nothing could come
		m.lastReceived, m.awakeSince = now, now
	}
	m.lastSent = now
	patience := m.Patience(now)
	if patience == 0 {
		patience = wire.UnmeasuredTimeouts * m.floor
	}
	return now.Sub(m.lastReceived) > patience
}

// Received notes that a heartbeat came back. sent is when it was sent; zero if unknown.
func (m *EchoMonitor) Received(now, sent time.Time) {
	m.lastReceived = now
	if !sent.IsZero() && !sent.Before(m.awakeSince) && now.Sub(m.lastSent) <= m.floor/2 {
		m.roundTrip.Add(now, now.Sub(sent))
	}
}

// Patience returns how long the link of this worker may be silent before the worker counts
// as lost: the failure timeout, or longer if the link is slow or loses packets. 0 says that
// the link is not measured yet.
func (m *EchoMonitor) Patience(now time.Time) time.Duration {
	if !m.roundTrip.Known() {
		return 0
	}
	patience := m.roundTrip.Patience(now, m.floor)
	if patience > m.floor { // the heartbeat that is held up may be sent an interval after the last one that came
		patience += HeartbeatInterval(m.floor)
	}
	return patience
}
