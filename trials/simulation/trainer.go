package simulation

import (
	"slices"
	"sync"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/trials/toy"
)

// layout is a model of three tensors, with gaps.
func layout() model.Layout {
	var l model.Layout
	for k, n := range []int{21, 16, 5} {
		l.Tensors = append(l.Tensors, model.Tensor{
			Name: string(rune('a' + k)), Shape: []int{n}, Offset: l.Total, Len: n, Decay: k != 2,
		})
		l.Total += (n + model.Alignment - 1) / model.Alignment * model.Alignment
	}
	return l
}

// ruleOf is how the state of the run changes.
func ruleOf(microBatches int, steps uint64) replica.Rule {
	return replica.Rule{
		Layout: layout(), MicroBatches: microBatches, Steps: steps, Reduce: replica.Exact,
		Optimizer: replica.AdamW{LearningRate: 0.05, Warmup: 3, Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-6, WeightDecay: 0.01, Clip: 1},
	}
}

// equal compares two states bit by bit.
func equal(a, b *replica.State) bool {
	same := func(x, y []float32) bool { return string(replica.Bytes(x)) == string(replica.Bytes(y)) }
	return a.Step == b.Step && a.Updates == b.Updates && a.Clamped == b.Clamped && a.Samples == b.Samples && a.Tokens == b.Tokens &&
		slices.Equal(a.Exponents, b.Exponents) && same(a.Weights, b.Weights) && same(a.Moment1, b.Moment1) && same(a.Moment2, b.Moment2)
}

var references struct {
	sync.Mutex
	of map[[2]uint64][]*replica.State
}

// reference returns the states of an undisturbed run, computed once for all seeds.
func reference(microBatches int, steps uint64) ([]*replica.State, error) {
	references.Lock()
	defer references.Unlock()
	key := [2]uint64{uint64(microBatches), steps}
	if states, ok := references.of[key]; ok {
		return states, nil
	}
	states, err := toy.Undisturbed(ruleOf(microBatches, steps))
	if err != nil {
		return nil, err
	}
	if references.of == nil {
		references.of = map[[2]uint64][]*replica.State{}
	}
	references.of[key] = states
	return states, nil
}
