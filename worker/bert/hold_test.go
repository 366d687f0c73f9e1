//go:build cgo

package bert_test

import (
	"slices"
	"testing"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/worker/bert"
)

func holdRule(how replica.Reduce) replica.Rule {
	return replica.Rule{
		Layout: model.NewLayout(small()), MicroBatches: 1, Steps: 10, Reduce: how,
		Optimizer: replica.AdamW{LearningRate: 0.01, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-6, Clip: 1},
	}
}

// A model apart from the host takes its gradients and keeps its weights where they are: it ends
// with the weights that it has where the host updates them.
func TestHold(t *testing.T) {
	where := device()
	if where == "" {
		where = bert.DeviceTensors
	}
	rule := holdRule(replica.Exact)
	var states [2]*replica.State
	for i := range states {
		m := open(t, small(), bert.Options{Device: where, Threads: 1})
		state, err := replica.NewState(rule, m.Weights())
		if err != nil {
			t.Fatal(err)
		}
		sum := replica.NewAccumulator(rule, 1)
		if i == 1 {
			held, err := m.Hold(rule)
			if err != nil || held == nil {
				t.Fatal(held, err)
			}
			if _, err := m.Hold(rule); err == nil {
				t.Error("it holds two replicas")
			}
			state.MoveTo(held)
			if sum, err = replica.NewDeviceAccumulator(rule, held); err != nil {
				t.Fatal(err)
			}
		}
		applier, err := replica.NewApplier(rule, 1)
		if err != nil {
			t.Fatal(err)
		}
		for step := range uint64(4) {
			b := batch(small(), step, 4, 40)
			measured, err := m.Compute(b, step)
			if err != nil {
				t.Fatal(err)
			}
			gradient := m.Gradient()
			if i == 1 {
				if n := norm(gradient); n != 0 {
					t.Fatalf("the host has a gradient of norm %g", n)
				}
				gradient = nil
			}
			sum.Reset(state)
			if err := sum.Add(0, gradient, measured); err != nil {
				t.Fatal(err)
			}
			if err := sum.Gather(); err != nil {
				t.Fatal(err)
			}
			if _, err := applier.Apply(state, sum.Entry()); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if err := m.WeightsChanged(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := state.Refresh(); err != nil {
			t.Fatal(err)
		}
		states[i] = state.Clone()
	}
	if !slices.Equal(states[0].Weights, states[1].Weights) || !slices.Equal(states[0].Moment2, states[1].Moment2) {
		t.Errorf("weights of hash %s where the host updates them, %s where the device does", hash(states[0].Weights), hash(states[1].Weights))
	}
}

// On a CPU, and for sums of 16 bits, the host holds the replica.
func TestHostHolds(t *testing.T) {
	for _, c := range []struct {
		device string
		reduce replica.Reduce
	}{{bert.DeviceCPU, replica.Exact}, {bert.DeviceTensors, replica.Exact16}} {
		m := open(t, small(), bert.Options{Device: c.device})
		if held, err := m.Hold(holdRule(c.reduce)); held != nil || err != nil {
			t.Errorf("%s, %s: %v, %v", c.device, c.reduce, held, err)
		}
	}
}
