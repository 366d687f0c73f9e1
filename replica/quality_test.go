package replica

import (
	"math"
	"math/rand/v2"
	"testing"
)

// trained runs every step of a rule: gradient computes micro-batch i of a step
// at these weights.
func trained(t *testing.T, r Rule, start []float32, gradient func(step, i int, w, g []float32)) *State {
	t.Helper()
	s, err := NewState(r, append([]float32(nil), start...))
	if err != nil {
		t.Fatal(err)
	}
	a, sum := newApplier(t, r, 1), NewAccumulator(r, 1)
	g := make([]float32, r.Layout.Total)
	for step := range int(r.Steps) {
		sum.Reset(s)
		for i := range r.MicroBatches {
			clear(g)
			gradient(step, i, s.Weights, g)
			if err := sum.Add(i, g, Measured{}); err != nil {
				t.Fatal(err)
			}
		}
		if o, err := a.Apply(s, sum.Entry()); err != nil || o.Skipped {
			t.Fatalf("step %d: %+v, %v", step, o, err)
		}
	}
	return s
}

// TestLogisticRegression learns a noisy linear rule. Fixed point must come as
// far as plain floats, and both must learn.
func TestLogisticRegression(t *testing.T) {
	const features, microBatches, batch = 30, 4, 16
	r := testRule(microBatches, features, 1)
	r.Steps = 400
	r.Optimizer = AdamW{LearningRate: 0.05, Warmup: 20, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-3, Clip: 1}
	truth := fill(r.Layout, rand.New(rand.NewPCG(8, 8)), 1)
	bias := r.Layout.Tensors[1].Offset
	// sample draws features, and a label that is right as often as the truth is sure.
	sample := func(random *rand.Rand, x []float64) (label float64) {
		z := float64(truth[bias])
		for j := range x {
			x[j] = random.NormFloat64()
			z += x[j] * float64(truth[j])
		}
		if random.Float64() < 1/(1+math.Exp(-z)) {
			return 1
		}
		return 0
	}
	score := func(w []float32, x []float64) float64 {
		z := float64(w[bias])
		for j := range x {
			z += x[j] * float64(w[j])
		}
		return z
	}
	loss := func(w []float32) float64 {
		random, x, sum := rand.New(rand.NewPCG(9, 9)), make([]float64, features), 0.0
		const n = 5000
		for range n {
			label := sample(random, x)
			z := score(w, x)
			sum += math.Log1p(math.Exp(-math.Abs(z))) + max(z, 0) - label*z
		}
		return sum / n
	}
	start := make([]float32, r.Layout.Total)
	losses := map[Reduce]float64{}
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		r.Reduce = mode
		x := make([]float64, features)
		s := trained(t, r, start, func(step, i int, w, g []float32) {
			random := rand.New(rand.NewPCG(uint64(step), uint64(i)))
			for range batch {
				label := sample(random, x)
				d := (1/(1+math.Exp(-score(w, x))) - label) / batch
				for j := range x {
					g[j] += float32(d * x[j])
				}
				g[bias] += float32(d)
			}
		})
		losses[mode] = loss(s.Weights)
	}
	first, best := loss(start), loss(truth)
	t.Logf("loss at first %.5f, of the truth %.5f, exact %.5f, in 16 bits %.5f, float %.5f", first, best, losses[Exact], losses[Exact16], losses[Float])
	if losses[Float] > best+0.1*(first-best) {
		t.Errorf("floats came from %.5f to %.5f only, the truth has %.5f", first, losses[Float], best)
	}
	for _, mode := range []Reduce{Exact, Exact16} {
		if math.Abs(losses[mode]-losses[Float]) > 1e-3*(first-best) {
			t.Errorf("%s ends with a loss of %.5f, floats with %.5f", mode, losses[mode], losses[Float])
		}
	}
}

// TestScales minimises one quadratic a tensor, (w-1)²·scale/2, from noisy
// gradients whose scales lie 14 decimals apart, from far below the first
// exponent's unit to far above its bound. AdamW does not see scales, and so
// every tensor must arrive, in fixed point as in floats.
func TestScales(t *testing.T) {
	scales := []float64{1e-11, 1e-9, 1e-7, 1e-4, 1, 1e3}
	lengths := make([]int, len(scales))
	for k := range lengths {
		lengths[k] = 64
	}
	r := testRule(5, lengths...)
	r.Steps = 600
	r.Optimizer = AdamW{LearningRate: 0.02, Warmup: 10, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-16}
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		r.Reduce = mode
		s := trained(t, r, make([]float32, r.Layout.Total), func(step, i int, w, g []float32) {
			random := rand.New(rand.NewPCG(uint64(step), uint64(i)))
			for k, tensor := range r.Layout.Tensors {
				for j := tensor.Offset; j < tensor.Offset+tensor.Len; j++ {
					g[j] = float32(scales[k] * (float64(w[j]) - 1 + random.NormFloat64()))
				}
			}
		})
		for k, tensor := range r.Layout.Tensors {
			sum := 0.0
			for _, w := range s.Weights[tensor.Offset : tensor.Offset+tensor.Len] {
				sum += (float64(w) - 1) * (float64(w) - 1)
			}
			distance := math.Sqrt(sum / float64(tensor.Len))
			t.Logf("%s, scale %g: %.4f away", mode, scales[k], distance)
			if !(distance < 0.05) {
				t.Errorf("%s, scale %g: ends %.4f away from the minimum", mode, scales[k], distance)
			}
		}
	}
}
