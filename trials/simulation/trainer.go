package simulation

import (
	"math"
	"slices"
	"sync"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// trainingSeed is the seed of the run that is simulated, not of its faults.
const trainingSeed = 7

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

// initial is the state that every process begins with.
func initial(r replica.Rule) (*replica.State, error) {
	weights := make([]float32, r.Layout.Total)
	source := rng.New(trainingSeed, rng.DomainInit)
	for _, t := range r.Layout.Tensors {
		for i := range t.Len {
			weights[t.Offset+i] = float32(source.Float64() - 0.5)
		}
	}
	return replica.NewState(r, weights)
}

// gradient is what a trainer computes: it depends on the weights and on which
// micro-batch it is, and differs in every element. Now and then it is so large
// that elements are clamped, and once in a while not finite.
func gradient(r replica.Rule, weights []float32, step uint64, index int, out []float32) replica.Measured {
	key := rng.Mix(rng.DomainDropout, trainingSeed, step, uint64(index))
	scale := math.Ldexp(1, int(key>>8%7)-3)
	if key>>16%13 == 0 {
		scale *= 1 << 9
	}
	for k, t := range r.Layout.Tensors {
		word := rng.Mix(key, uint64(k))
		for i := t.Offset; i < t.Offset+t.Len; i++ {
			word = word*6364136223846793005 + 1442695040888963407
			out[i] = float32(scale*(float64(word>>11)/(1<<53)-0.5)) + weights[i]/4
		}
	}
	loss := 1 + float64(key>>20%100)/50
	if key>>32%61 == 0 {
		out[int(key>>40%16)] = float32(math.NaN())
	}
	return replica.Measured{MLMLoss: loss, NSPLoss: loss / 4, MLMCorrect: index, MLMCount: 7, NSPCorrect: 1, NSPCount: 2, Tokens: 30 + index}
}

// equal compares two states bit by bit.
func equal(a, b *replica.State) bool {
	same := func(x, y []float32) bool { return string(replica.Bytes(x)) == string(replica.Bytes(y)) }
	return a.Step == b.Step && a.Updates == b.Updates && a.Clamped == b.Clamped && a.Samples == b.Samples && a.Tokens == b.Tokens &&
		slices.Equal(a.Exponents, b.Exponents) && same(a.Weights, b.Weights) && same(a.Moment1, b.Moment1) && same(a.Moment2, b.Moment2)
}

// undisturbed returns the states after every step, from 0, of one worker to which
// nothing happens: a loop without machines, generations or a ring.
func undisturbed(microBatches int, steps uint64) ([]*replica.State, error) {
	r := ruleOf(microBatches, steps)
	s, err := initial(r)
	if err != nil {
		return nil, err
	}
	a, err := replica.NewApplier(r, 1)
	if err != nil {
		return nil, err
	}
	states := []*replica.State{s.Clone()}
	grad := make([]float32, r.Layout.Total)
	for step := uint64(1); step <= steps; step++ {
		sum := replica.NewAccumulator(r, 1)
		sum.Reset(s)
		for i := range microBatches {
			if err := sum.Add(i, grad, gradient(r, s.Weights, step, i, grad)); err != nil {
				return nil, err
			}
		}
		if _, err := a.Apply(s, sum.Entry()); err != nil {
			return nil, err
		}
		states = append(states, s.Clone())
	}
	return states, nil
}

var references struct {
	sync.Mutex
	of map[[2]uint64][]*replica.State
}

// reference is undisturbed, computed once for all seeds.
func reference(microBatches int, steps uint64) ([]*replica.State, error) {
	references.Lock()
	defer references.Unlock()
	key := [2]uint64{uint64(microBatches), steps}
	if states, ok := references.of[key]; ok {
		return states, nil
	}
	states, err := undisturbed(microBatches, steps)
	if err != nil {
		return nil, err
	}
	if references.of == nil {
		references.of = map[[2]uint64][]*replica.State{}
	}
	references.of[key] = states
	return states, nil
}
