package roster

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How long a worker may be silent depends on its link. A lost heartbeat holds up later ones
// until TCP has sent it again. Across a network that may take longer than the failure
// timeout, and is no evidence of a death. Every worker derives its limit from the round trips
// of its heartbeats and reports it with each heartbeat.

// maxPatience bounds how long a worker may be silent, whatever it reports of its link.
const maxPatience = 30 * time.Second

// patience is how long a worker may be silent: the failure timeout at least.
func (r *Roster) patience(w *worker) time.Duration {
	if w.beat.Patience == 0 && !w.lastHeartbeat.IsZero() {
		return wire.UnmeasuredTimeouts * r.cfg.FailureTimeout
	}
	return max(r.cfg.FailureTimeout, min(time.Duration(float64(w.beat.Patience)*float64(time.Second)), maxPatience))
}

// answerWithin is how long a suspected worker has to answer, and for how long a worker may
// lack its registration, or receive nothing, before that counts as evidence.
func (r *Roster) answerWithin(w *worker) time.Duration { return r.patience(w) / 4 }

// planPatience is the patience that members have with each other, in seconds; 0 if the
// failure timeout is enough.
func (r *Roster) planPatience(members []*worker) float64 {
	most := time.Duration(0)
	for _, w := range members {
		if w.beat.Patience > 0 {
			most = max(most, r.patience(w))
		}
	}
	if most <= r.cfg.FailureTimeout {
		return 0
	}
	return most.Seconds()
}
