package replica

import (
	"math"

	"github.com/gramme-project/gramme/internal/vector"
)

// Schedule is the shape in which the learning rate falls to 0.
type Schedule string

const (
	// Linear falls by the same amount at each step.
	Linear Schedule = "linear"
	// Sqrt is one minus a square root: quick at first (arXiv 2405.18392).
	Sqrt Schedule = "sqrt"
)

// AdamW holds the hyperparameters of decoupled weight decay (arXiv 1711.05101)
// with global-norm clipping and a schedule of the learning rate.
type AdamW struct {
	LearningRate float64 // the peak
	Warmup       uint64  // steps of linear growth to it
	Hold         uint64  // steps at the peak; then the rate falls towards 0
	Schedule     Schedule
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64
	Clip         float64 // of the global norm; 0 is off
}

// Rate returns the learning rate of a step; the first step is 1. It grows
// linearly over the warmup, stays, then falls and would reach 0 one step after
// the last.
func (o AdamW) Rate(step, steps uint64) float64 {
	falls := o.Warmup + o.Hold
	switch {
	case step <= o.Warmup:
		return o.LearningRate * float64(step) / float64(o.Warmup)
	case step > steps:
		return 0
	case step <= falls:
		return o.LearningRate
	}
	if o.Schedule == Sqrt {
		return o.LearningRate * (1 - math.Sqrt(float64(step-falls-1)/float64(steps-falls)))
	}
	return o.LearningRate * float64(steps-step+1) / float64(steps-falls)
}

// update returns the numbers of an update, without what differs between tensors.
func (a *Applier) update(s *State, o Outcome) vector.AdamW {
	h := a.rule.Optimizer
	clip := 1.0
	if h.Clip > 0 && o.Norm > h.Clip {
		clip = h.Clip / o.Norm
	}
	return vector.AdamW{
		Beta1: float32(h.Beta1), Beta2: float32(h.Beta2), Rest1: float32(1 - h.Beta1), Rest2: float32(1 - h.Beta2),
		Correct1: float32(1 / (1 - power(h.Beta1, s.Updates))), Correct2: float32(1 / (1 - power(h.Beta2, s.Updates))),
		Epsilon: float32(h.Epsilon), Rate: float32(o.LearningRate), Clip: float32(clip),
	}
}

// updateWeights is AdamW with bias correction on every element.
func (a *Applier) updateWeights(s *State, entry []int32, common vector.AdamW) {
	forEach(len(a.chunks), a.cores, func(i int) {
		c, p := a.chunks[i], common
		p.Quantum = a.quantum(s, c.tensor)
		p.Decay = a.decay(c.tensor)
		w, m, v := s.Weights[c.from:c.to], s.Moment1[c.from:c.to], s.Moment2[c.from:c.to]
		switch a.rule.Reduce {
		case Float:
			p.UpdateByFloats(w, m, v, entry[c.from:c.to])
		case Exact16:
			p.UpdateByShorts(w, m, v, shorts(entry)[c.from:c.to])
		default:
			p.UpdateByInts(w, m, v, entry[c.from:c.to])
		}
	})
}

// decay returns the weight decay of a tensor.
func (a *Applier) decay(tensor int) float32 {
	if a.rule.Layout.Tensors[tensor].Decay {
		return float32(a.rule.Optimizer.WeightDecay)
	}
	return 0
}

// power is x^n by squaring, each product rounded: math.Pow is not the same on
// every architecture.
func power(x float64, n uint64) float64 {
	p := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p = float64(p * x)
		}
		x = float64(x * x)
	}
	return p
}
