// Package toy trains without a network or a corpus: a gradient that follows from the
// weights, the step and the micro-batch, and the states that a run of it must have.
// Trials of whole clusters use it in place of the model.
//
// It guarantees that a gradient differs in every element and between any two
// micro-batches, that now and then elements are so large that they are clamped, and once
// in a while one is not finite. It learns nothing.
package toy

import (
	"math"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica"
)

// seed is that of the training, not of the faults that a trial draws.
const seed = 7

// Initial is the state that every process begins with.
func Initial(r replica.Rule) (*replica.State, error) {
	weights := make([]float32, r.Layout.Total)
	source := rng.New(seed, rng.DomainInit)
	for _, t := range r.Layout.Tensors {
		for i := range t.Len {
			weights[t.Offset+i] = float32(source.Float64() - 0.5)
		}
	}
	return replica.NewState(r, weights)
}

// Gradient computes the gradient of a micro-batch into out. The first tensor must have
// 16 elements or more.
func Gradient(r replica.Rule, weights []float32, step uint64, index int, out []float32) replica.Measured {
	key := rng.Mix(rng.DomainDropout, seed, step, uint64(index))
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

// Undisturbed returns the states after every step, from 0, of one worker to which
// nothing happens: a loop without machines, generations or a ring.
func Undisturbed(r replica.Rule) ([]*replica.State, error) {
	s, err := Initial(r)
	if err != nil {
		return nil, err
	}
	a, err := replica.NewApplier(r, 1)
	if err != nil {
		return nil, err
	}
	states := []*replica.State{s.Clone()}
	grad := make([]float32, r.Layout.Total)
	for step := uint64(1); step <= r.Steps; step++ {
		sum := replica.NewAccumulator(r, 1)
		sum.Reset(s)
		for i := range r.MicroBatches {
			if err := sum.Add(i, grad, Gradient(r, s.Weights, step, i, grad)); err != nil {
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
