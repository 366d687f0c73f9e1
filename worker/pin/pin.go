// Package pin is the replica of a worker as its peers see it: the state, the entry of the
// newest step, and the pin for workers that join. A pin is a copy of the state after one
// step together with the entries since. A worker that joins fetches both while the member
// trains on.
//
// It guarantees that a state or entry returned for a step is that of the step, and that a
// pinned state does not change. A pin may be dropped at any time: when it grows too large,
// when no worker asks for it, and when the state is replaced. The package has no lock:
// several goroutines may read State and Entry and call Describe; everything else needs
// exclusive access.
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
	State      *replica.State
	Entry      []int32   // of State.Step; nil before the first
	Spare      []int32   // buffer of the next entry
	lent       [][]int32 // buffers for entries
	rule       replica.Rule
	maxEntries int  // of a pin
	pin        *Pin // nil: no worker joins
}

// New returns the replica of a state. A pin with more than maxEntries entries is dropped.
func New(s *replica.State, r replica.Rule, most int) *Replica {
	return &Replica{rule: r, State: s, Spare: make([]int32, r.EntryLen()), maxEntries: most}
}

// Lend gives buffers for entries, which are used before others are made, and the first from
// now on.
func (r *Replica) Lend(buffers [][]int32) { r.Spare, r.lent = buffers[0], buffers[1:] }

// buffer returns a buffer for an entry.
func (r *Replica) buffer() (words []int32) {
	if len(r.lent) == 0 {
		return make([]int32, r.rule.EntryLen())
	}
	words, r.lent = r.lent[0], r.lent[1:]
	return words
}

// A pin may have minEntries entries, and more as long as they fit pinBytes. A worker that
// does not keep up joins as it is, and the members wait.
const (
	minEntries = 4
	pinBytes   = 1 << 27
)

// MaxEntries returns how many entries of a rule a pin should have at most.
func MaxEntries(r replica.Rule) int { return max(minEntries, pinBytes/(4*r.EntryLen())) }

// Load replaces the state by another.
func (r *Replica) Load(s *replica.State) {
	r.pin = nil // later entries do not continue it
	copy(r.State.Weights, s.Weights)
	copy(r.State.Moment1, s.Moment1)
	copy(r.State.Moment2, s.Moment2)
	r.State.Meta = s.Meta
	r.State.Rewritten()
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
		r.Spare = r.buffer()
	}
	if r.pin != nil && r.pin.State == nil && r.pin.At == r.State.Step { // it is copied
		if err := r.State.Refresh(); err != nil {
			return o, err
		}
	}
	if r.pin != nil && !r.pin.advance(r.State, r.Entry, r.maxEntries) {
		r.pin = nil
	}
	return o, nil
}

// ApplyAs applies the entry in Spare for a worker in a state. If the members of the plan have
// just summed it, each of them is where this one is, and differ says that their states before
// were not equal, by the own entry.
func (r *Replica) ApplyAs(state wire.ProcessState, p wire.Plan, a *replica.Applier, own []int32) (o replica.Outcome, differ bool, err error) {
	summed := state == wire.WorkerReducing
	if summed {
		r.ReleaseMembers(p)
	}
	o, err = r.Apply(a)
	return o, err == nil && summed && !r.rule.SameStates(r.Entry, own), err
}

// Pin is a state after one step and the entries since.
type Pin struct {
	At    uint64             // step of the state
	State *replica.State     // nil: the step has yet to come
	Info  *wire.SnapshotInfo // of State, once it is described

	entries [][]int32 // of At+1 and the steps after it
	users   map[string]bool
	lastUse atomic.Int64 // time of the last request, in Unix nanoseconds
}

// entry returns the entry of a step, nil if the pin does not have it.
func (p *Pin) entry(step uint64) []int32 {
	if p == nil || step <= p.At || step > p.At+uint64(len(p.entries)) {
		return nil
	}
	return p.entries[step-p.At-1]
}

// advance adds a step of the member. It returns false if the pin has grown too large.
func (p *Pin) advance(s *replica.State, entry []int32, most int) bool {
	switch {
	case p.State != nil:
		p.entries = append(p.entries, entry)
	case s.Step == p.At:
		p.State = s.Clone()
	}
	return len(p.entries) <= most
}

// Pin pins the state after a step, which may be the next one; 0 is the newest. An existing
// pin stays. It returns nil if the step has passed or is far ahead. A state on a device is
// refreshed before.
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

func (p *Pin) touch(now time.Time) { p.lastUse.Store(now.UnixNano()) }

// ReleaseMembers drops the pin if all workers that asked for it are members now.
func (r *Replica) ReleaseMembers(p wire.Plan) {
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

// ReleaseUnused drops the pin if no worker asked for it since a time.
func (r *Replica) ReleaseUnused(since time.Time) {
	if r.pin != nil && r.pin.lastUse.Load() < since.UnixNano() {
		r.pin = nil
	}
}

// StateAt returns the state after a step, nil if the worker does not hold it.
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

// EntryAt returns the entry of a step, nil if the worker does not hold it; later says that
// the step has yet to come.
func (r *Replica) EntryAt(now time.Time, step uint64) (entry []int32, later bool) {
	if r.pin != nil {
		r.pin.touch(now)
	}
	if step == r.State.Step {
		return r.Entry, false
	}
	return r.pin.entry(step), step > r.State.Step
}

// Part returns a part of a state, nil if a state has no such part.
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

// Describe describes a state for peers.
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
