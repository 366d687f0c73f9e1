package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// shared is the state with the newest entry, read by peers while the loop
// changes it.
type shared struct {
	mu    sync.RWMutex
	state *replica.State
	// entry is that of state.Step, nil before the first; spare is where the
	// next one is summed.
	entry, spare []int32
	length       int
	held         *held // nil: nobody joins
}

func newShared(s *replica.State, r replica.Rule) *shared {
	return &shared{state: s, spare: make([]int32, r.EntryLen()), length: r.EntryLen()}
}

func (s *shared) step() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.Step
}

// load replaces the state by a fetched one.
func (s *shared) load(f *fetchedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = nil // what follows does not follow from it
	copy(s.state.Weights, f.state.Weights)
	copy(s.state.Moment1, f.state.Moment1)
	copy(s.state.Moment2, f.state.Moment2)
	s.state.Meta = f.state.Meta
	if s.entry != nil {
		s.spare, s.entry = s.entry, nil
	}
}

// apply applies the entry in spare and keeps it for peers.
func (s *shared) apply(a *replica.Applier) (replica.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := a.Apply(s.state, s.spare)
	if err != nil {
		return o, err
	}
	old := s.entry
	s.entry, s.spare = s.spare, old
	if old == nil || s.held.keeps(s.state.Step-1) {
		s.spare = make([]int32, s.length)
	}
	if s.held != nil && !s.held.applied(s.state, s.entry) {
		s.held = nil
	}
	return o, nil
}

// held is what a member keeps for those who join: a copy of its state after one
// step, and the entries since. They take it while the member goes on.
type held struct {
	at      uint64             // step of the state
	state   *replica.State     // nil: the step has yet to come
	entries [][]int32          // of at+1 and the steps after it
	info    *wire.SnapshotInfo // of state; belongs to who answers requests to hold
	users   map[string]bool    // workers that have yet to join
	used    atomic.Int64       // when somebody asked for it last, in Unix nanoseconds
}

// Bounds of the entries that are kept: as many as this, and more where they are
// small. Who does not keep up with that is taken in as it is.
const (
	keptEntries = 4
	keptBytes   = 1 << 27
)

// keeps reports whether the entry of a step is among those that are kept.
func (h *held) keeps(step uint64) bool {
	return h != nil && step > h.at && step <= h.at+uint64(len(h.entries))
}

// applied follows the member by a step. It returns false when there is no use in
// keeping more.
func (h *held) applied(s *replica.State, entry []int32) bool {
	switch {
	case h.state != nil:
		h.entries = append(h.entries, entry)
	case s.Step == h.at:
		h.state = s.Clone()
	}
	return len(h.entries) <= max(keptEntries, keptBytes/(4*len(entry)))
}

// hold keeps the state after a step, which may be the next one; 0 is the newest. If
// something is kept already it stays. It returns what is kept, with its state if that
// has come; nil where the step has passed.
func (s *shared) hold(step uint64, user string) (*held, *replica.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.state.Step
	if step == 0 {
		step = now
	}
	if s.held == nil {
		if step < now || step > now+1 {
			return nil, nil
		}
		s.held = &held{at: step, users: map[string]bool{}}
		if step == now {
			s.held.state = s.state.Clone()
		}
	}
	s.held.users[user] = true
	s.held.touch()
	return s.held, s.held.state
}

// joined gives up what is kept if all that asked for it are members now.
func (s *shared) joined(p wire.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return
	}
	for _, m := range p.Members {
		delete(s.held.users, m.ID)
	}
	if len(s.held.users) == 0 {
		s.held = nil
	}
}

func (h *held) touch() { h.used.Store(time.Now().UnixNano()) }

// release gives up what is kept if nobody asked for it since a time.
func (s *shared) release(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && s.held.used.Load() < since.UnixNano() {
		s.held = nil
	}
}

// stateOf returns the state after a step, nil if it is not at hand. The caller holds
// the lock for as long as it reads it.
func (s *shared) stateOf(step uint64) *replica.State {
	switch {
	case step == s.state.Step:
		return s.state
	case s.held != nil && s.held.state != nil && step == s.held.at:
		s.held.touch()
		return s.held.state
	}
	return nil
}

// entryOf returns the entry of a step, nil if it is not at hand. The caller holds the
// lock for as long as it reads it.
func (s *shared) entryOf(step uint64) []int32 {
	if s.held != nil {
		s.held.touch()
	}
	switch {
	case step == s.state.Step:
		return s.entry
	case s.held.keeps(step):
		return s.held.entries[step-s.held.at-1]
	}
	return nil
}
