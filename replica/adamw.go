package replica

import "math"

// AdamW holds the hyperparameters of decoupled weight decay (arXiv 1711.05101)
// with global-norm clipping and a linear schedule.
type AdamW struct {
	LearningRate float64 // the peak
	Warmup       uint64  // steps of linear growth to it; then linear decay towards 0
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64
	Clip         float64 // of the global norm; 0 is off
}

// Rate returns the learning rate of a step; the first step is 1. It grows
// linearly over the warmup, then falls linearly and would reach 0 one step
// after the last.
func (o AdamW) Rate(step, steps uint64) float64 {
	switch {
	case step <= o.Warmup:
		return o.LearningRate * float64(step) / float64(o.Warmup)
	case step > steps:
		return 0
	default:
		return o.LearningRate * float64(steps-step+1) / float64(steps-o.Warmup)
	}
}

// adamwParams are the numbers of AdamW that are the same for all elements of a chunk.
type adamwParams struct{ b1, b2, r1, r2, c1, c2, eps, lr, decay, clip float32 }

// updateWeights is AdamW with bias correction on every element.
func (a *Applier) updateWeights(s *State, entry []int32, o Outcome) {
	h := a.rule.Optimizer
	clip := 1.0
	if h.Clip > 0 && o.Norm > h.Clip {
		clip = h.Clip / o.Norm
	}
	common := adamwParams{
		b1: float32(h.Beta1), b2: float32(h.Beta2), r1: float32(1 - h.Beta1), r2: float32(1 - h.Beta2),
		c1: float32(1 / (1 - power(h.Beta1, s.Updates))), c2: float32(1 / (1 - power(h.Beta2, s.Updates))),
		eps: float32(h.Epsilon), lr: float32(o.LearningRate), clip: float32(clip),
	}
	mean := a.rule.meanFunc()
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		quantum, p := a.quantum(s, c.tensor), common
		if a.rule.Layout.Tensors[c.tensor].Decay {
			p.decay = float32(h.WeightDecay)
		}
		var g [block]float32
		for from := c.from; from < c.to; from += block {
			to := min(from+block, c.to)
			mean(g[:to-from], entry[from:to], quantum)
			p.update(s.Weights[from:to], s.Moment1[from:to], s.Moment2[from:to], g[:to-from])
		}
	})
}

// update changes weights and moments by mean gradients. Every product is rounded on its
// own: the conversions forbid fused multiply-add.
func (p adamwParams) update(w, m, v, g []float32) {
	w, m, v = w[:len(g)], m[:len(g)], v[:len(g)]
	for k := range g {
		gk := float32(g[k] * p.clip)
		mk := float32(float32(p.b1*m[k]) + float32(p.r1*gk))
		vk := float32(float32(p.b2*v[k]) + float32(p.r2*float32(gk*gk)))
		m[k], v[k] = mk, vk
		root := float32(math.Sqrt(float64(float32(vk * p.c2))))
		u := float32(float32(mk*p.c1) / float32(root+p.eps))
		u = float32(u + float32(p.decay*w[k]))
		w[k] = float32(w[k] - float32(p.lr*u))
	}
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
