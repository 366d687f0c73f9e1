package simulation

import "time"

// A worker behind a slow link. All that comes and goes is longer on its way, and what
// is lost holds up what comes after it until it has been sent again: for a
// retransmission timeout of TCP, and twice as long each time. That is no harm done to
// it: the oracle fails where others take it for dead.

// lostOne is one of how many messages that is lost on a slow link, each time.
const lostOne = 8

// trip is how long a message is on the slow link of a process, if it is behind one.
func (p *process) trip() time.Duration {
	if p.far == 0 {
		return 0
	}
	d := p.far
	for timeout := 200*time.Millisecond + 2*p.far; p.w.chance(lostOne) && timeout < 2*time.Second; timeout *= 2 {
		d += timeout
	}
	return d
}
