// Package pin is the replica of a worker as its peers see it: the state, the entry of
// the newest step, and what the worker pins for those who join. A pin is a copy of
// the state after one step together with the entries since. A worker that joins takes
// both while the member goes on.
//
// It guarantees that what it gives under the number of a step is the state or the
// entry of that step, and that a pinned state does not change. It is no promise: a pin
// is given up where it grows too large, where nobody asks for it, and where the state
// is replaced. It has no lock: State, Entry, Spare and Describe may be read by several
// goroutines, all else needs one alone.
package pin

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// Replica is a state with the entry that led to it.
type Replica struct {
	State *replica.State
	Entry []int32 // of State.Step; nil before the first
	Spare []int32 // where the next entry is summed
	most  int     // entries of a pin
	pin   *Pin    // nil: nobody joins
}

// New returns the replica of a state. A pin has so many entries at most; one more,
// and it is given up.
func New(s *replica.State, r replica.Rule, most int) *Replica {
	return &Replica{State: s, Spare: make([]int32, r.EntryLen()), most: most}
}

// Bounds of the entries of a pin: as many as this, and more where they are small. A
// worker that does not keep up with that is taken in as it is.
const (
	fewEntries = 4
	pinBytes   = 1 << 27
)

// MostEntries is how many entries of a rule a pin should have at most.
func MostEntries(r replica.Rule) int { return max(fewEntries, pinBytes/(4*r.EntryLen())) }

// Load replaces the state by another.
func (r *Replica) Load(s *replica.State) {
	r.pin = nil // what follows does not follow from it
	copy(r.State.Weights, s.Weights)
	copy(r.State.Moment1, s.Moment1)
	copy(r.State.Moment2, s.Moment2)
	r.State.Meta = s.Meta
	if r.Entry != nil {
		r.Spare, r.Entry = r.Entry, nil
	}
}

// Apply applies the entry in Spare, and keeps it for peers.
func (r *Replica) Apply(a *replica.Applier) (replica.Outcome, error) {
	o, err := a.Apply(r.State, r.Spare)
	if err != nil {
		return o, err
	}
	old := r.Entry
	r.Entry, r.Spare = r.Spare, old
	if old == nil || r.pin.entry(r.State.Step-1) != nil {
		r.Spare = make([]int32, len(r.Entry))
	}
	if r.pin != nil && !r.pin.follow(r.State, r.Entry, r.most) {
		r.pin = nil
	}
	return o, nil
}

// Pin is a state after one step and the entries since.
type Pin struct {
	At    uint64             // step of the state
	State *replica.State     // nil: the step has yet to come
	Info  *wire.SnapshotInfo // of State, for whoever describes it once

	entries [][]int32 // of At+1 and the steps after it
	users   map[string]bool
	used    atomic.Int64 // when somebody last asked for it, in Unix nanoseconds
}

// entry is that of a step, nil where it is not among those of the pin.
func (p *Pin) entry(step uint64) []int32 {
	if p == nil || step <= p.At || step > p.At+uint64(len(p.entries)) {
		return nil
	}
	return p.entries[step-p.At-1]
}

// follow goes with the member by a step. It returns false where the pin has grown too
// large.
func (p *Pin) follow(s *replica.State, entry []int32, most int) bool {
	switch {
	case p.State != nil:
		p.entries = append(p.entries, entry)
	case s.Step == p.At:
		p.State = s.Clone()
	}
	return len(p.entries) <= most
}

// Pin pins the state after a step, which may be the next one; 0 is the newest. A pin
// that is there already stays. nil: the step has passed, or is far ahead.
func (r *Replica) Pin(now time.Time, step uint64, user string) *Pin {
	at := r.State.Step
	if step == 0 {
		step = at
	}
	if r.pin == nil {
		if step < at || step > at+1 {
			return nil
		}
		r.pin = &Pin{At: step, users: map[string]bool{}}
		if step == at {
			r.pin.State = r.State.Clone()
		}
	}
	r.pin.users[user] = true
	r.pin.touch(now)
	return r.pin
}

func (p *Pin) touch(now time.Time) { p.used.Store(now.UnixNano()) }

// Joined gives up the pin if all that asked for it are members now.
func (r *Replica) Joined(p wire.Plan) {
	if r.pin == nil {
		return
	}
	for _, m := range p.Members {
		delete(r.pin.users, m.ID)
	}
	if len(r.pin.users) == 0 {
		r.pin = nil
	}
}

// Release gives up the pin if nobody asked for it since a time.
func (r *Replica) Release(since time.Time) {
	if r.pin != nil && r.pin.used.Load() < since.UnixNano() {
		r.pin = nil
	}
}

// StateAt returns the state after a step, nil if it is not at hand.
func (r *Replica) StateAt(now time.Time, step uint64) *replica.State {
	switch {
	case step == r.State.Step:
		return r.State
	case r.pin != nil && r.pin.State != nil && step == r.pin.At:
		r.pin.touch(now)
		return r.pin.State
	}
	return nil
}

// EntryAt returns the entry of a step, nil if it is not at hand: it has yet to come
// then, or will not come any more.
func (r *Replica) EntryAt(now time.Time, step uint64) (entry []int32, later bool) {
	if r.pin != nil {
		r.pin.touch(now)
	}
	if step == r.State.Step {
		return r.Entry, false
	}
	return r.pin.entry(step), step > r.State.Step
}

// Part returns where a part of a state lies, nil where a state has no such part.
func Part(s *replica.State, name string) *[]float32 {
	switch name {
	case wire.PartWeights:
		return &s.Weights
	case wire.PartMoment1:
		return &s.Moment1
	case wire.PartMoment2:
		return &s.Moment2
	}
	return nil
}

// Describe names a state that can be given.
func Describe(s *replica.State, cores int) (wire.SnapshotInfo, error) {
	info := wire.SnapshotInfo{Found: true, Step: s.Step, Elements: len(s.Weights)}
	var err error
	if info.Meta, err = s.EncodeMeta(); err == nil {
		info.Digest, err = replica.Digest(s, cores)
	}
	if err != nil {
		return wire.SnapshotInfo{}, fmt.Errorf("describe the state of step %d: %w", s.Step, err)
	}
	return info, nil
}
