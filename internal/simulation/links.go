package simulation

import (
	"time"
)

// line is the stream from one worker's process to another's.
func (w *world) line(from, to *process) *pipe {
	key := [2]*process{from, to}
	l := w.lines[key]
	if l == nil {
		l = &pipe{w: w}
		w.lines[key] = l
	}
	return l
}

// carryFrame brings a frame to a mailbox. Subjects hold the generation: one of
// another generation finds nobody. So that what reads frames is tested as well,
// the newest ring gets those of older ones, too.
func (w *world) carryFrame(from, to *process, generation uint64, f frame) {
	if to == nil {
		return
	}
	life := to.life
	w.line(from, to).send(hop(w), func() {
		to.do(life, func() {
			k, ok := to.role.(*worker)
			if !ok || k.ring == nil || k.ring.closed || generation > k.ring.generation {
				return
			}
			k.ring.inbox = append(k.ring.inbox, f)
			k.ring.pump()
		})
	})
}

// notify tells the neighbours that this rank leaves, and who is to blame.
func (r *ring) notify(blame int, why string) {
	if r.world() == 1 {
		return
	}
	for side := range 2 {
		to := r.peer(side)
		if to == nil {
			continue
		}
		life, generation, rank := to.life, r.generation, r.rank
		r.k.w.line(r.k.p, to).send(hop(r.k.w), func() {
			to.do(life, func() {
				if k, ok := to.role.(*worker); ok && k.ring != nil && k.ring.generation == generation {
					k.ring.left(rank, blame, why)
				}
			})
		})
	}
}

// left hears that a neighbour is no longer there.
func (r *ring) left(rank, blame int, why string) {
	for side := range 2 {
		if r.neighbour(side) == rank {
			r.lose(side, blame, why)
		}
	}
}

// leave closes this end in good order.
func (r *ring) leave(why string) {
	if r.closed {
		return
	}
	r.closed = true
	if !r.dead {
		r.notify(r.rank, "left "+why)
	}
}

// vanish is the end of the process: neighbours see that the connection closed,
// unless its host went as well.
func (r *ring) vanish() {
	r.closed = true
	if r.k.w.silent {
		return
	}
	r.notify(r.rank, "connection closed")
}

// endRing waits until nothing reads the sum any more: in the midst of a reduction,
// a neighbour that does not read holds that up for a moment.
func (k *worker) endRing() {
	r := k.ring
	if r == nil {
		return
	}
	k.ring = nil
	wait := time.Duration(0)
	if r.world() > 1 && r.joined && !r.dead {
		for side := range 2 {
			p := r.peer(side)
			if p == nil || !p.up() || !p.frozen {
				continue
			}
			if r.step > 0 {
				wait = 100 * time.Millisecond
			} else if k.w.bug == SlowLeave {
				wait = time.Second
			}
		}
	}
	r.leave("")
	if wait > 0 {
		goOn := k.loop.block()
		k.p.after(wait, goOn)
	}
}
