package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// ring is a worker's place in the ring of one generation: the schedule and the
// frames are those of package allreduce, what sends and receives them is a state
// machine here. Credits are left out: nothing here is so large that it must wait.
type ring struct {
	*link
	k    *worker
	plan wire.Plan

	step     uint64 // being reduced; 0: none
	wanted   uint64 // asked for before it was joined
	began    time.Duration
	schedule allreduce.Schedule
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
	r.schedule = allreduce.NewSchedule(r.rank, r.world(), k.w.rule.EntryLen(), chunkWords)
	r.pump()
}

// pump does what can be done of the reduction.
func (r *ring) pump() {
	k := r.k
	for r.step > 0 && !r.closed && !r.dead {
		switch {
		case r.sends < len(r.schedule.Sends) && r.sends < r.schedule.Ready+r.receives:
			if r.lost[next] != nil {
				r.fail(r.lost[next])
				return
			}
			r.give(r.schedule.Sends[r.sends])
		case r.receives < len(r.schedule.Receives) && len(r.inbox) > 0:
			f, _ := r.take()
			if err := r.receive(f, r.schedule.Receives[r.receives]); err != nil {
				r.fail(&allreduce.PeerError{Rank: r.neighbour(previous), Err: err})
				return
			}
		case r.receives < len(r.schedule.Receives):
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

// give sends a chunk to the next rank: own words first, then sums.
func (r *ring) give(t allreduce.Transfer) {
	k := r.k
	from := k.Spare
	if r.sends < r.schedule.Ready {
		from = k.sum.Entry()
	}
	payload := slices.Clone(replica.WordBytes(from[t.Offset : t.Offset+t.Length]))
	header := allreduce.Frame{
		Run: runHash, Generation: r.generation, Step: r.step, Sequence: r.sequence,
		Rank: r.rank, World: r.world(), Transfer: t,
	}.Encode(payload)
	r.sends++
	r.sequence++
	r.send(frame{header[:], payload})
}

// receive takes the frame that is due. Those of older generations are dropped.
func (r *ring) receive(m frame, t allreduce.Transfer) error {
	f, err := allreduce.DecodeFrame(m.header, m.payload)
	switch fits := f.Step == r.step && f.Transfer == t; {
	case err != nil:
		return err
	case r.k.w.bug == LateFrames && !fits, r.k.w.bug != LateFrames && f.Generation < r.generation:
		return nil
	case r.k.w.bug == LateFrames:
	case f.Generation > r.generation || f.Rank != r.neighbour(previous) || f.World != r.world() || f.Sequence != r.due || f.Step != r.step || f.Transfer != t:
		return fmt.Errorf("%v: frame %d of step %d is due", f, r.due, r.step)
	}
	r.due++
	r.receives++
	k := r.k
	own, to := k.sum.Entry()[t.Offset:t.Offset+t.Length], k.Spare[t.Offset:t.Offset+t.Length]
	got := make([]int32, t.Length)
	copy(replica.WordBytes(got), m.payload)
	for i, v := range got {
		if t.Phase == allreduce.ReduceScatter {
			v += own[i]
		}
		to[i] = v
	}
	return nil
}

// watch ends the ring when a neighbour was lost: a reduction under way goes on for
// as long as it can.
func (r *ring) watch() {
	if r.step > 0 {
		r.pump()
		return
	}
	for side := range 2 {
		if r.lost[side] != nil && !r.dead {
			r.fail(r.lost[side])
		}
	}
}

// fail breaks the ring: neighbours hear who is to blame.
func (r *ring) fail(err *allreduce.PeerError) {
	if r.dead || r.closed {
		return
	}
	r.step = 0
	if errors.Is(err, allreduce.ErrSilent) {
		r.k.meetAgain(r.plan)
	}
	r.k.post(step.RingBroken{Generation: r.generation, Rank: allreduce.FailedRank(err), Reason: err.Error()})
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
	r.leave()
	if wait > 0 {
		goOn := k.loop.block()
		k.p.after(wait, goOn)
	}
}
