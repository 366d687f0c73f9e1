package pin

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// TestPinsForJoiningWorkers follows a member that keeps a state for two.
func TestPinsForJoiningWorkers(t *testing.T) {
	layout := model.Layout{Tensors: []model.Tensor{{Name: "a", Shape: []int{16}, Len: 16}}, Total: 16}
	rule := replica.Rule{
		Layout: layout, MicroBatches: 2, Steps: 100, Reduce: replica.Exact,
		Optimizer: replica.AdamW{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.9, Epsilon: 1e-6, Clip: 1},
	}
	state, err := replica.NewState(rule, make([]float32, layout.Total))
	if err != nil {
		t.Fatal(err)
	}
	applier, err := replica.NewApplier(rule, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, now := New(state, rule, MaxEntries(rule)), time.Unix(100, 0)
	sum, gradient := replica.NewAccumulator(rule, 1), make([]float32, layout.Total)
	apply := func() {
		sum.Reset(state)
		for i := range rule.MicroBatches {
			if err := sum.Add(i, gradient, replica.Measured{}); err != nil {
				t.Fatal(err)
			}
		}
		copy(s.Spare, sum.Entry())
		if _, err := s.Apply(applier); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	if s.Pin(now, 4, "b") != nil {
		t.Error("a step that is far ahead is waited for")
	}
	if s.Pin(now, 2, "b").State != nil {
		t.Error("the state after a step that has yet to come is there")
	}
	for range 3 {
		apply()
	}
	if kept := s.Pin(now, 0, "d"); kept.At != 2 || kept.State == nil || kept.State.Step != 2 {
		t.Fatalf("pinned: %+v", kept)
	}
	entry := func(step uint64) []int32 {
		e, later := s.EntryAt(now, step)
		if later != (step > 4) {
			t.Errorf("step %d has yet to come: %v", step, later)
		}
		return e
	}
	if s.StateAt(now, 2) == nil || s.StateAt(now, 3) != nil || s.StateAt(now, 4) != state || entry(2) != nil || entry(5) != nil {
		t.Error("another state, or other entries, than those of step 2 and after")
	}
	if a, b := entry(3), entry(4); a == nil || b == nil || &a[0] == &b[0] || &b[0] != &s.Entry[0] || &s.Spare[0] == &a[0] {
		t.Error("the entries of steps 3 and 4 are not kept apart")
	}
	plan := func(ids ...string) (p wire.Plan) {
		for _, id := range ids {
			p.Members = append(p.Members, wire.Member{ID: id})
		}
		return p
	}
	s.ReleaseMembers(plan("a", "b"))
	if s.pin == nil {
		t.Error("nothing is kept for the one that has yet to join")
	}
	s.ReleaseMembers(plan("a", "b", "d"))
	if s.pin != nil {
		t.Error("it is kept though all have joined")
	}
	s.Pin(now, 0, "e")
	s.ReleaseUnused(now)
	if s.pin == nil {
		t.Error("it is given up while somebody asks for it")
	}
	s.ReleaseUnused(now.Add(time.Second))
	if s.pin != nil {
		t.Error("it is kept though nobody asks for it")
	}
}

// TestNotTooMuchIsPinned has entries of which few fit.
func TestNotTooMuchIsPinned(t *testing.T) {
	rule := replica.Rule{Layout: model.Layout{Total: pinBytes / 4}}
	if most := MaxEntries(rule); most != minEntries {
		t.Errorf("%d entries of a large model", most)
	}
	p := &Pin{State: &replica.State{}}
	for n := range 3 {
		if !p.advance(nil, nil, 3) {
			t.Fatalf("given up with %d entries", n+1)
		}
	}
	if p.advance(nil, nil, 3) {
		t.Error("more is pinned than may be")
	}
}

// TestAPinDoesNotOutliveItsState loads another state while one is pinned.
func TestAPinDoesNotOutliveItsState(t *testing.T) {
	state := &replica.State{Weights: []float32{1}, Moment1: []float32{1}, Moment2: []float32{1}}
	state.Step = 3
	r, now := New(state, replica.Rule{}, 3), time.Unix(100, 0)
	r.Pin(now, 3, "b")
	other := &replica.State{Weights: []float32{2}, Moment1: []float32{2}, Moment2: []float32{2}}
	other.Step = 7
	r.Load(other)
	if r.StateAt(now, 3) != nil || r.StateAt(now, 7) == nil || r.State.Weights[0] != 2 {
		t.Error("the older state is still given, or the new one is not")
	}
}
