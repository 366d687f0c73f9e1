package roster

import "time"

// How long a worker may be silent follows from its link. A heartbeat that is lost on
// the way holds up those after it until TCP has sent it again: across a network that
// takes longer than the failure timeout, and is no sign of anybody's end. Every worker
// measures it by the round trips of its heartbeats and says so with each.

// mostPatience is how long no worker may be silent, whatever it says of its link.
const mostPatience = 30 * time.Second

// patience is how long a worker may be silent: the failure timeout at least.
func (r *Roster) patience(w *worker) time.Duration {
	return max(r.cfg.FailureTimeout, min(time.Duration(float64(w.beat.Patience)*float64(time.Second)), mostPatience))
}

// answerWithin is how long a worker that is suspected has to show that it is there,
// and that lost its registration or hears nothing until that counts.
func (r *Roster) answerWithin(w *worker) time.Duration { return r.patience(w) / 4 }

// slowestLink is the patience that members have to have with each other, in seconds; 0
// where the failure timeout is enough.
func (r *Roster) slowestLink(members []*worker) float64 {
	most := time.Duration(0)
	for _, w := range members {
		most = max(most, r.patience(w))
	}
	if most <= r.cfg.FailureTimeout {
		return 0
	}
	return most.Seconds()
}
