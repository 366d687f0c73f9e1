package pin

import (
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/devicecheck"
	"github.com/gramme-project/gramme/replica/model"
)

// TestReplicaOnADevice has a replica on the host and one on a device go through the same: steps,
// a state that replaces theirs, and a pin of the step that comes next.
func TestReplicaOnADevice(t *testing.T) {
	layout := model.Layout{Tensors: []model.Tensor{{Name: "a", Shape: []int{40}, Len: 40, Decay: true}}, Total: 48}
	rule := replica.Rule{
		Layout: layout, MicroBatches: 1, Steps: 100, Reduce: replica.Exact,
		Optimizer: replica.AdamW{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.9, Epsilon: 1e-6, WeightDecay: 0.1, Clip: 1},
	}
	gradient := make([]float32, layout.Total)
	device := devicecheck.NewMemory(rule, make([]float32, layout.Total), gradient)
	var both [2]*Replica
	far, err := replica.NewDeviceAccumulator(rule, device)
	if err != nil {
		t.Fatal(err)
	}
	sums := [2]*replica.Accumulator{replica.NewAccumulator(rule, 1), far}
	for i := range both {
		state, err := replica.NewState(rule, make([]float32, layout.Total))
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			state.MoveTo(device)
		}
		both[i] = New(state, rule, MaxEntries(rule))
	}
	both[1].Lend([][]int32{make([]int32, rule.EntryLen()), make([]int32, rule.EntryLen())})
	applier, err := replica.NewApplier(rule, 1)
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		t.Helper()
		for i := range layout.Tensors[0].Len {
			gradient[i] = float32(i%7) - 2.5*both[0].State.Weights[i]
		}
		for i, r := range both {
			sums[i].Reset(r.State)
			if err := sums[i].Add(0, [][]float32{gradient, nil}[i], replica.Measured{}); err != nil {
				t.Fatal(err)
			}
			if err := sums[i].Gather(); err != nil {
				t.Fatal(err)
			}
			copy(r.Spare, sums[i].Entry())
			if _, err := r.Apply(applier); err != nil {
				t.Fatal(err)
			}
		}
	}
	same := func(when string, of func(r *Replica) *replica.State) {
		t.Helper()
		host, there := of(both[0]), of(both[1])
		want, err := replica.Digest(host, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := replica.Digest(there, 1); err != nil || got != want || !slices.Equal(there.Moment2, host.Moment2) {
			t.Errorf("%s: %s on the device (%v), %s on the host", when, got, err, want)
		}
	}
	state := func(r *Replica) *replica.State { return r.State }
	step()
	step()
	same("after two steps", state)
	other := both[0].State.Clone()
	step()
	for _, r := range both {
		r.Load(other)
	}
	step()
	same("after a step from a state that was loaded", state)
	for _, r := range both {
		r.Pin(time.Unix(1, 0), r.State.Step+1, "w")
	}
	step()
	pinned := func(r *Replica) *replica.State { return r.pin.State }
	step()
	same("the pin of the step before", pinned)
}
