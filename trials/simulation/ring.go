package simulation

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// ring is a worker's place in the ring of one generation: it moves the frames of an
// allreduce.Exchange, as allreduce.Ring does. Credits are left out: nothing here is so
// large that it must wait.
type ring struct {
	*link
	k    *worker
	plan wire.Plan

	step     uint64 // being reduced; 0: none
	wanted   uint64 // asked for before it was joined
	began    time.Duration
	exchange *allreduce.Exchange
	sends    int
	receives int
	sequence uint64 // of frames sent
	due      uint64 // of frames received
}

// chunkWords cuts segments into several frames.
const chunkWords = 24

func (k *worker) openRing(p wire.Plan, rank int) {
	r := &ring{k: k, plan: p}
	r.link = k.p.openLink(p.Generation, rank, p.Members, p.Ring == wire.RingBroker, r)
	k.ring = r
}

// connected implements linkUser.
func (r *ring) connected() {
	if r.wanted > 0 {
		r.reduce(r.wanted)
	}
}

// arrived implements linkUser.
func (r *ring) arrived() { r.pump() }

// parted implements linkUser.
func (r *ring) parted() { r.watch() }

// reduce begins to sum the entry of a step over the members.
func (r *ring) reduce(number uint64) {
	k := r.k
	switch {
	case r.closed || r.dead:
		return
	case !r.joined:
		r.wanted = number
		return
	case r.world() == 1:
		copy(k.Spare, k.sum.Entry())
		k.post(step.Reduced{Generation: r.generation, Step: number})
		return
	}
	r.wanted, r.step, r.began, r.sends, r.receives = 0, number, k.w.now, 0, 0
	r.exchange = allreduce.NewExchange(r.place(), number, allreduce.Int32, chunkWords, k.sum.Entry(), k.Spare)
	r.pump()
}

func (r *ring) place() allreduce.Place {
	return allreduce.Place{Run: runHash, Generation: r.generation, Rank: r.rank, World: r.world()}
}

// pump does what can be done of the reduction.
func (r *ring) pump() {
	k, x := r.k, r.exchange
	for r.step > 0 && !r.closed && !r.dead {
		added := r.receives
		if k.w.bug == SendBeforeSum {
			added++
		}
		switch {
		case r.sends < len(x.Sends) && x.Needs(r.sends) <= added:
			if err := r.lost.Err(neighbour.Next); err != nil {
				r.fail(err)
				return
			}
			r.give()
		case r.receives < len(x.Receives) && len(r.inbox) > 0:
			f, _ := r.take()
			if k.w.bug == LateFrames && !r.fits(&f) {
				continue
			}
			old, err := x.Take(r.receives, r.due, f.header, f.payload)
			if err != nil {
				r.fail(err)
				return
			}
			if !old {
				r.due++
				r.receives++
			}
		case r.receives < len(x.Receives):
			if why := r.starved(); why != nil {
				r.fail(why)
			}
			return
		default:
			number := r.step
			r.step = 0
			k.post(step.Reduced{Generation: r.generation, Step: number, Took: k.w.now - r.began})
			r.watch()
			return
		}
	}
}

// give sends a chunk to the next rank.
func (r *ring) give() {
	header, payload := r.exchange.Frame(r.sends, r.sequence)
	r.sends++
	r.sequence++
	r.send(frame{header[:], slices.Clone(payload)})
}

// fits makes a frame of any generation the one that is due, if it is of its step and
// place.
func (r *ring) fits(m *frame) bool {
	f, err := allreduce.DecodeFrame(m.header, m.payload)
	if err != nil || f.Step != r.step || f.Transfer != r.exchange.Receives[r.receives] {
		return false
	}
	f.Generation, f.Rank, f.World, f.Sequence = r.generation, r.place().Previous(), r.world(), r.due
	header := f.Encode(m.payload)
	m.header = header[:]
	return true
}

// watch ends the ring when a neighbour was lost: a reduction under way goes on for
// as long as it can.
func (r *ring) watch() {
	if r.step > 0 {
		r.pump()
		return
	}
	if err := r.lost.FirstErr(); err != nil {
		r.fail(err)
	}
}

// fail breaks the ring.
func (r *ring) fail(err error) {
	if r.dead || r.closed {
		return
	}
	r.step = 0
	broken, probe := step.BrokenBy(r.plan, err)
	if probe {
		r.k.probeRoutesAgain(r.plan)
	}
	r.k.post(broken)
	r.abort(err)
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
		for _, side := range sides {
			p := r.peer(side)
			if p == nil || !p.up() || !p.frozen {
				continue
			}
			if r.step > 0 {
				wait = 100 * time.Millisecond
			} else if k.w.bug == SlowLeave {
				wait = 2 * failureTimeout
			}
		}
	}
	r.leave()
	if wait > 0 {
		unblock := k.loop.block()
		k.p.after(wait, unblock)
	}
}
