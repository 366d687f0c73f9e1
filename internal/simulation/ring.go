package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/internal/replica"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// ring is a worker's place in the ring of one generation: the schedule and the
// frames are those of package allreduce, what sends and receives them is a state
// machine here. Credits are left out: nothing here is so large that it must wait.
type ring struct {
	k          *worker
	generation uint64
	rank       int
	members    []wire.Member
	joined     bool // both neighbours are there
	closed     bool
	dead       bool
	lost       [2]error // the previous and the next neighbour
	blame      [2]int
	inbox      []frame

	step     uint64 // being reduced; 0: none
	wanted   uint64 // asked for before it was joined
	began    time.Duration
	schedule allreduce.Schedule
	sends    int
	receives int
	sequence uint64 // of frames sent
	due      uint64 // of frames received
}

type frame struct{ header, payload []byte }

const (
	previous = iota
	next
)

// chunkWords cuts segments into several frames.
const chunkWords = 24

func (r *ring) world() int { return len(r.members) }

// neighbour is the rank on one side.
func (r *ring) neighbour(side int) int {
	if side == next {
		return (r.rank + 1) % r.world()
	}
	return (r.rank + r.world() - 1) % r.world()
}

// peer is the process of the neighbour.
func (r *ring) peer(side int) *process {
	return r.k.w.process(r.members[r.neighbour(side)].ID)
}

// far is the neighbour's end of the same ring, or nil.
func (r *ring) far(side int) *ring {
	if p := r.peer(side); p != nil && p.up() {
		if k, ok := p.role.(*worker); ok && k.ring != nil && k.ring.generation == r.generation && !k.ring.closed &&
			k.reg.Incarnation == r.members[r.neighbour(side)].Incarnation {
			return k.ring
		}
	}
	return nil
}

func (k *worker) openRing(p wire.Plan, rank int) {
	r := &ring{k: k, generation: p.Generation, rank: rank, members: p.Members}
	k.ring = r
	if r.world() == 1 {
		r.joined = true
		return
	}
	for side := range 2 {
		r.dial(side)
	}
}

// dial reaches for a neighbour's mailbox. The process that is frozen does not
// answer; where there is none, that is seen at once.
func (r *ring) dial(side int) {
	k := r.k
	k.p.after(k.w.between(200*time.Microsecond, 4*time.Millisecond), func() {
		p := r.peer(side)
		switch {
		case r.closed || r.dead:
		case p == nil || !p.up():
			r.lose(side, r.neighbour(side), "connection refused")
		default:
			r.greet()
		}
	})
}

// greet finds out whether both neighbours are in this generation.
func (r *ring) greet() {
	if r.closed || r.dead || r.joined {
		return
	}
	here := true
	for side := range 2 {
		p := r.peer(side)
		if p == nil || !p.up() {
			r.lose(side, r.neighbour(side), "connection closed")
			return
		}
		here = here && r.far(side) != nil && !p.frozen && !r.k.w.line(r.k.p, p).stalled && !r.k.w.line(p, r.k.p).stalled
	}
	if !here {
		r.k.p.after(5*time.Millisecond, r.greet)
		return
	}
	r.joined = true
	if r.wanted > 0 {
		r.reduce(r.wanted)
	}
}

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
		copy(k.spare, k.sum.Entry())
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
				r.fail(r.blame[next], r.lost[next])
				return
			}
			r.send(r.schedule.Sends[r.sends])
		case r.receives < len(r.schedule.Receives) && len(r.inbox) > 0:
			f := r.inbox[0]
			r.inbox = r.inbox[1:]
			if err := r.receive(f, r.schedule.Receives[r.receives]); err != nil {
				r.fail(r.neighbour(previous), err)
				return
			}
		case r.receives < len(r.schedule.Receives):
			if r.lost[previous] != nil {
				r.fail(r.blame[previous], r.lost[previous])
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

// send gives a chunk to the next rank: own words first, then sums.
func (r *ring) send(t allreduce.Transfer) {
	k := r.k
	from := k.spare
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
	k.w.carryFrame(k.p, r.peer(next), r.generation, frame{header[:], payload})
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
	own, to := k.sum.Entry()[t.Offset:t.Offset+t.Length], k.spare[t.Offset:t.Offset+t.Length]
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

// lose records that a neighbour is gone or has left.
func (r *ring) lose(side, blame int, why string) {
	if r.closed || r.dead || r.lost[side] != nil {
		return
	}
	r.lost[side], r.blame[side] = fmt.Errorf("rank %d: %s", blame, why), blame
	r.watch()
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
			r.fail(r.blame[side], r.lost[side])
		}
	}
}

// fail breaks the ring: neighbours hear who is to blame.
func (r *ring) fail(blame int, err error) {
	if r.dead || r.closed {
		return
	}
	r.dead, r.step = true, 0
	r.k.post(step.RingBroken{Generation: r.generation, Rank: blame, Reason: err.Error()})
	r.notify(blame, err.Error())
}
