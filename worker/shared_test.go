package worker

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// TestWhatIsKeptForThoseWhoJoin follows a member that keeps a state for two.
func TestWhatIsKeptForThoseWhoJoin(t *testing.T) {
	c := newCluster(t, 1000)
	rule := c.spec.Rule(c.layout)
	state, err := replica.NewState(rule, make([]float32, c.layout.Total))
	if err != nil {
		t.Fatal(err)
	}
	applier, err := replica.NewApplier(rule, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := newShared(state, rule)
	sum, gradient := replica.NewAccumulator(rule, 1), make([]float32, c.layout.Total)
	apply := func() {
		sum.Reset(state)
		for i := range rule.MicroBatches {
			if err := sum.Add(i, gradient, replica.Measured{}); err != nil {
				t.Fatal(err)
			}
		}
		copy(s.spare, sum.Entry())
		if _, err := s.apply(applier); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	if h, _ := s.hold(4, "b"); h != nil {
		t.Error("a step that is far ahead is waited for")
	}
	if _, kept := s.hold(2, "b"); kept != nil {
		t.Error("the state after a step that has yet to come is there")
	}
	for range 3 {
		apply()
	}
	if _, kept := s.hold(0, "d"); kept == nil || kept.Step != 2 {
		t.Fatalf("kept: %+v", kept)
	}
	if s.stateOf(2) == nil || s.stateOf(3) != nil || s.entryOf(2) != nil || s.entryOf(5) != nil {
		t.Error("another state, or other entries, than those of step 2 and after")
	}
	if a, b := s.entryOf(3), s.entryOf(4); a == nil || b == nil || &a[0] == &b[0] || &b[0] != &s.entry[0] || &s.spare[0] == &a[0] {
		t.Error("the entries of steps 3 and 4 are not kept apart")
	}
	plan := func(ids ...string) (p wire.Plan) {
		for _, id := range ids {
			p.Members = append(p.Members, wire.Member{ID: id})
		}
		return p
	}
	s.joined(plan("a", "b"))
	if s.held == nil {
		t.Error("nothing is kept for the one that has yet to join")
	}
	s.joined(plan("a", "b", "d"))
	if s.held != nil {
		t.Error("it is kept though all have joined")
	}
	s.hold(0, "e")
	s.release(time.Now().Add(-time.Minute))
	if s.held == nil {
		t.Error("it is given up while somebody asks for it")
	}
	s.release(time.Now().Add(time.Minute))
	if s.held != nil {
		t.Error("it is kept though nobody asks for it")
	}
}

// TestNotTooMuchIsKept has entries of which few fit.
func TestNotTooMuchIsKept(t *testing.T) {
	h := &held{state: &replica.State{}}
	entry := make([]int32, keptBytes/4)
	for n := range keptEntries {
		if !h.applied(nil, entry) {
			t.Fatalf("nothing is kept after %d entries", n+1)
		}
	}
	if h.applied(nil, entry) {
		t.Error("more is kept than fits")
	}
}
