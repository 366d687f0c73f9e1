package simulation

import (
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/internal/wire"
)

// How workers find out that the way between two of them is cut, while both are in
// touch with everybody else, and go on through NATS.

// pings are how many answers a neighbour may owe before it counts as lost.
const pings = 3

// ping finds out again and again whether the neighbour on a side answers.
func (l *link) ping(side neighbour.Side, owed int) {
	if l.p.w.silence == 0 {
		return
	}
	l.p.after(l.p.w.silence/(pings+1), func() {
		if l.closed || l.dead || l.lost.Err(side) != nil {
			return
		}
		p := l.peer(side)
		if p != nil && p.up() && p.life == l.lives[side] && !p.frozen && l.open(l.p, p) {
			l.ping(side, 0)
			return
		}
		if owed++; owed <= pings {
			l.ping(side, owed)
			return
		}
		l.lose(side, &allreduce.PeerError{Rank: l.neighbour(side), Err: allreduce.ErrSilent})
	})
}

// probeRoutesAgain finds out whether the members of a plan still reach each other: by way
// of NATS it asks them to try.
func (k *worker) probeRoutesAgain(p wire.Plan) {
	if k.probing {
		return
	}
	k.probing = true
	k.p.after(k.w.between(time.Second, 3*time.Second), func() {
		k.probing = false
		for _, m := range p.Members {
			o := k.w.process(m.ID)
			if o == k.p || !o.up() || o.frozen || !o.conn.up || !k.p.conn.up {
				continue // no answer means nothing
			}
			if k.w.line(k.p, o).stalled || k.w.line(o, k.p).stalled {
				k.loop.do(k.routeThroughNATS)
				return
			}
		}
	})
}

// routeThroughNATS says in the registration that the ring has to go through NATS.
func (k *worker) routeThroughNATS() {
	if k.reg.Ring == "" {
		k.reg.Ring = wire.RingBroker
		k.w.say("%s says that the ring has to go through NATS", k.reg.Incarnation)
		k.announce(func() {})
	}
}
