package replica

import (
	"fmt"
	"math"
	"math/bits"
)

// Outcome tells what an entry did.
type Outcome struct {
	Step                     uint64
	MLMLoss, NSPLoss         float64 // means over the step's micro-batches; not finite if one is not
	MLMAccuracy, NSPAccuracy float64
	Tokens                   uint64
	LearningRate             float64
	Norm                     float64 // of the gradient before clipping
	Clamped                  int64
	Skipped                  bool // a NaN or an infinity: weights and moments are as before
	Stop, Hold, Save         bool // some worker voted so
}

// Applier applies entries to states of one rule. It keeps scratch memory and
// is used by one goroutine at a time.
type Applier struct {
	rule   Rule
	cores  int
	chunks []chunk
	norms  []float64
}

// NewApplier returns an Applier that uses up to `cores` goroutines. Their
// number does not change the result.
func NewApplier(r Rule, cores int) (*Applier, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("apply rule: %w", err)
	}
	cs := chunksOf(r.Layout)
	return &Applier{rule: r, cores: cores, chunks: cs, norms: make([]float64, len(cs))}, nil
}

// Apply changes s from step s.Step to s.Step+1 by the complete entry of that
// step. On an error s is as before.
func (a *Applier) Apply(s *State, entry []int32) (Outcome, error) {
	r := a.rule
	step := s.Step + 1
	if len(entry) != r.EntryLen() {
		return Outcome{}, fmt.Errorf("apply step %d: entry of %d words, not %d", step, len(entry), r.EntryLen())
	}
	if step > r.Steps {
		return Outcome{}, fmt.Errorf("apply step %d: the run ends with step %d", step, r.Steps)
	}
	if err := r.complete(entry); err != nil {
		return Outcome{}, fmt.Errorf("apply step %d: %w", step, err)
	}
	o := a.outcome(step, entry)
	if !o.Skipped {
		o.Norm = a.norm(s, entry)
		// Finite gradients can still overflow the norm in float mode.
		o.Skipped = math.IsNaN(o.Norm) || math.IsInf(o.Norm, 0)
	}
	if !o.Skipped {
		s.Updates++
		a.update(s, entry, o)
		if r.Reduce == Exact {
			a.adjust(s, entry)
		}
	}
	s.Step = step
	s.Clamped += uint64(o.Clamped)
	s.Samples += uint64(r.counters(entry).get(wordNSPCount))
	s.Tokens += o.Tokens
	s.remember(o)
	return o, nil
}

func (a *Applier) outcome(step uint64, entry []int32) Outcome {
	c := a.rule.counters(entry)
	m := float64(a.rule.MicroBatches)
	share := func(part, whole int) float64 {
		return float64(c.get(part)) / float64(max(c.get(whole), 1))
	}
	o := Outcome{
		Step:         step,
		MLMLoss:      c.loss(wordMLMLoss, wordMLMLarge) / m,
		NSPLoss:      c.loss(wordNSPLoss, wordNSPLarge) / m,
		MLMAccuracy:  share(wordMLMCorrect, wordMLMCount),
		NSPAccuracy:  share(wordNSPCorrect, wordNSPCount),
		Tokens:       uint64(c.get(wordTokens)),
		LearningRate: a.rule.Optimizer.Rate(step, a.rule.Steps),
		Skipped:      c.get(wordNonFinite) > 0,
		Stop:         c.get(wordStop) > 0,
		Hold:         c.get(wordHold) > 0,
		Save:         c.get(wordSave) > 0,
	}
	for k := range a.rule.Layout.Tensors {
		o.Clamped += c.get(fixedWords + 2*k)
	}
	return o
}

// unit returns what one integer of a tensor's sum is worth in the mean
// gradient of the step.
func (a *Applier) unit(s *State, tensor int) float64 {
	if a.rule.Reduce == Float {
		return 1 / float64(a.rule.MicroBatches)
	}
	return math.Ldexp(1, -int(s.Exponents[tensor])) / float64(a.rule.MicroBatches)
}

// meaner turns the words of an entry into mean gradients. Reading words as floats
// or as integers is told apart once for a chunk, not for every element.
type meaner func(to []float32, words []int32, unit float64)

func meanFixed(to []float32, words []int32, unit float64) {
	to = to[:len(words)]
	for i, w := range words {
		to[i] = float32(float64(w) * unit)
	}
}

func meanFloat(to []float32, words []int32, unit float64) {
	to = to[:len(words)]
	for i, w := range words {
		to[i] = float32(float64(math.Float32frombits(uint32(w))) * unit)
	}
}

func (r Rule) meaner() meaner {
	if r.Reduce == Float {
		return meanFloat
	}
	return meanFixed
}

// norm returns the Euclidean norm of the mean gradient: squares summed in
// float64 within each chunk, then over the chunks, in their order.
func (a *Applier) norm(s *State, entry []int32) float64 {
	mean := a.rule.meaner()
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		unit := a.unit(s, c.tensor)
		var sum [lanes]float64
		var g [block]float32
		for w := entry[c.from:c.to]; len(w) > 0; w = w[min(block, len(w)):] {
			n := min(block, len(w))
			mean(g[:n], w[:n], unit)
			squares(&sum, g[:n])
		}
		a.norms[i] = float64(sum[0]+sum[1]) + float64(sum[2]+sum[3])
	})
	total := 0.0
	for _, q := range a.norms {
		total += q
	}
	return math.Sqrt(total)
}

const (
	// lanes are the sums of squares of a chunk, which break the chain of
	// dependent additions; their number is part of the arithmetic.
	lanes = 4
	// block is how many elements are worked on at a time, so that they stay in
	// the nearest cache. It is a multiple of lanes and changes no result.
	block = 512
)

// squares adds the square of element k to the sum k mod lanes.
func squares(sum *[lanes]float64, g []float32) {
	s0, s1, s2, s3 := sum[0], sum[1], sum[2], sum[3]
	for ; len(g) >= lanes; g = g[lanes:] {
		g0, g1, g2, g3 := float64(g[0]), float64(g[1]), float64(g[2]), float64(g[3])
		s0 += float64(g0 * g0)
		s1 += float64(g1 * g1)
		s2 += float64(g2 * g2)
		s3 += float64(g3 * g3)
	}
	*sum = [lanes]float64{s0, s1, s2, s3}
	for k, v := range g {
		sum[k] += float64(float64(v) * float64(v))
	}
}

// step holds the numbers of AdamW that are the same for all elements of a chunk.
type step struct{ b1, b2, r1, r2, c1, c2, eps, lr, decay, clip float32 }

// update is AdamW with bias correction on every element.
func (a *Applier) update(s *State, entry []int32, o Outcome) {
	h := a.rule.Optimizer
	clip := 1.0
	if h.Clip > 0 && o.Norm > h.Clip {
		clip = h.Clip / o.Norm
	}
	common := step{
		b1: float32(h.Beta1), b2: float32(h.Beta2), r1: float32(1 - h.Beta1), r2: float32(1 - h.Beta2),
		c1: float32(1 / (1 - power(h.Beta1, s.Updates))), c2: float32(1 / (1 - power(h.Beta2, s.Updates))),
		eps: float32(h.Epsilon), lr: float32(o.LearningRate), clip: float32(clip),
	}
	mean := a.rule.meaner()
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		unit, p := a.unit(s, c.tensor), common
		if a.rule.Layout.Tensors[c.tensor].Decay {
			p.decay = float32(h.WeightDecay)
		}
		var g [block]float32
		for from := c.from; from < c.to; from += block {
			to := min(from+block, c.to)
			mean(g[:to-from], entry[from:to], unit)
			p.adamw(s.Weights[from:to], s.Moment1[from:to], s.Moment2[from:to], g[:to-from])
		}
	})
}

// adamw updates weights and moments by mean gradients. Every product is rounded on
// its own: the conversions forbid fused multiply-add.
func (p step) adamw(w, m, v, g []float32) {
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

// adjust chooses each tensor's exponent for the next step: the mean over
// micro-batches of the largest absolute value shall lie `headroom` bits below
// the bound. It makes room at once and gains precision one bit a step.
func (a *Applier) adjust(s *State, entry []int32) {
	c := a.rule.counters(entry)
	target := bits.Len32(uint32(bound(a.rule.MicroBatches))) - headroom
	for k := range s.Exponents {
		clamped := c.get(fixedWords + 2*k)
		largest := bits.Len64(uint64(c.get(fixedWords+2*k+1) / int64(a.rule.MicroBatches)))
		change := int32(target - largest)
		switch {
		case clamped > 0:
			change = min(change, 0) - 2
		case c.get(fixedWords+2*k+1) == 0:
			change = 0 // no gradient at all: nothing to learn from it
		case s.Updates > 1:
			change = min(change, 1)
		}
		s.Exponents[k] = min(max(s.Exponents[k]+change, minExponent), maxExponent)
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
