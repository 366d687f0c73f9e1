package replica

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/replica/model"
)

// testLayout has tensors that are shorter than a chunk, longer than one, and of
// a length that leaves a gap, with and without decay.
func testLayout(lengths ...int) model.Layout {
	var l model.Layout
	for k, n := range lengths {
		l.Tensors = append(l.Tensors, model.Tensor{
			Name: string(rune('a' + k)), Shape: []int{n}, Offset: l.Total, Len: n, Decay: k%2 == 0,
		})
		l.Total += (n + model.Alignment - 1) / model.Alignment * model.Alignment
	}
	return l
}

func testRule(microBatches int, lengths ...int) Rule {
	return Rule{
		Layout: testLayout(lengths...), MicroBatches: microBatches, Steps: 20, Reduce: Exact,
		Optimizer: AdamW{LearningRate: 1e-2, Warmup: 3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-6, WeightDecay: 0.01, Clip: 1},
	}
}

// fill sets the tensors, not the gaps, to normal numbers.
func fill(l model.Layout, random *rand.Rand, scale float64) []float32 {
	flat := make([]float32, l.Total)
	for _, t := range l.Tensors {
		for i := range t.Len {
			flat[t.Offset+i] = float32(random.NormFloat64() * scale)
		}
	}
	return flat
}

func newState(t testing.TB, r Rule, seed uint64) *State {
	t.Helper()
	s, err := NewState(r, fill(r.Layout, rand.New(rand.NewPCG(seed, 1)), 0.5))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func copyState(s *State) *State {
	c := &State{Meta: s.Meta, Weights: slices.Clone(s.Weights), Moment1: slices.Clone(s.Moment1), Moment2: slices.Clone(s.Moment2)}
	c.Exponents = slices.Clone(s.Exponents)
	return c
}

// equal compares two states bit by bit, apart from what Digest does.
func equal(a, b *State) bool {
	same := func(x, y []float32) bool { return slices.Equal(Bytes(x), Bytes(y)) }
	ma, mb := a.Meta, b.Meta
	exponents := slices.Equal(ma.Exponents, mb.Exponents)
	ma.Exponents, mb.Exponents = nil, nil
	return exponents && ma.Step == mb.Step && ma.Updates == mb.Updates && ma.Clamped == mb.Clamped &&
		ma.Samples == mb.Samples && ma.Tokens == mb.Tokens &&
		same(a.Weights, b.Weights) && same(a.Moment1, b.Moment1) && same(a.Moment2, b.Moment2)
}

// entryOf is the complete entry of one step for these gradients.
func entryOf(t testing.TB, r Rule, s *State, grads [][]float32, m Measured) []int32 {
	t.Helper()
	a := NewAccumulator(r, 1)
	a.Reset(s)
	for i, g := range grads {
		if err := a.Add(i, g, m); err != nil {
			t.Fatal(err)
		}
	}
	return a.Entry()
}

func newApplier(t testing.TB, r Rule, cores int) *Applier {
	t.Helper()
	a, err := NewApplier(r, cores)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
