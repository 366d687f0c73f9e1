package simulation

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/allreduce"
)

// A ring through NATS, as natslink.Relay makes it: it shares the fate of the
// connection.

// probeInterval is how often a rank asks NATS whether its neighbours are there.
const probeInterval = 50 * time.Millisecond

// interrupted ends the link of a process whose connection to NATS broke.
func (l *link) interrupted() {
	if !l.via || l.closed || l.dead {
		return
	}
	l.unsubscribed()
	l.p.do(l.p.life, func() {
		own := &allreduce.PeerError{Rank: l.rank, Err: fmt.Errorf("%w to the broker", allreduce.ErrLost)}
		for _, side := range sides {
			l.lose(side, own)
		}
	})
}

// unsubscribed lets the neighbours find out that nobody listens for this rank.
func (l *link) unsubscribed() {
	for _, side := range sides {
		to := l.peer(side)
		if to == nil || l.world() == 1 {
			continue
		}
		life, w := to.life, l.p.w
		w.at(w.now+w.between(0, probeInterval), func() {
			to.do(life, func() {
				if end := to.link; end != nil && end.generation == l.generation {
					end.noticed(l.rank, gone(l.rank, "it left the broker"))
				}
			})
		})
	}
}
