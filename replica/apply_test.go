package replica

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// reference is AdamW in float64 by the book (arXiv 1711.05101, algorithm 2, with
// global-norm clipping), on the true mean of the gradients.
type reference struct{ w, m, v []float64 }

func newReference(s *State) *reference {
	ref := &reference{make([]float64, len(s.Weights)), make([]float64, len(s.Weights)), make([]float64, len(s.Weights))}
	for i, w := range s.Weights {
		ref.w[i] = float64(w)
	}
	return ref
}

func (ref *reference) step(r Rule, step int, grads [][]float32) (norm float64) {
	o := r.Optimizer
	mean := make([]float64, len(ref.w))
	for i := range mean {
		for _, g := range grads {
			mean[i] += float64(g[i]) / float64(len(grads))
		}
		norm += mean[i] * mean[i]
	}
	norm = math.Sqrt(norm)
	rate := o.LearningRate * float64(step) / float64(o.Warmup)
	if uint64(step) > o.Warmup {
		rate = o.LearningRate * float64(r.Steps-uint64(step)+1) / float64(r.Steps-o.Warmup)
	}
	for _, t := range r.Layout.Tensors {
		for i := t.Offset; i < t.Offset+t.Len; i++ {
			g := mean[i]
			if o.Clip > 0 && norm > o.Clip {
				g *= o.Clip / norm
			}
			ref.m[i] = o.Beta1*ref.m[i] + (1-o.Beta1)*g
			ref.v[i] = o.Beta2*ref.v[i] + (1-o.Beta2)*g*g
			m := ref.m[i] / (1 - math.Pow(o.Beta1, float64(step)))
			v := ref.v[i] / (1 - math.Pow(o.Beta2, float64(step)))
			u := m / (math.Sqrt(v) + o.Epsilon)
			if t.Decay {
				u += o.WeightDecay * ref.w[i]
			}
			ref.w[i] -= rate * u
		}
	}
	return norm
}

// TestApply compares with the reference and between numbers of cores.
func TestApply(t *testing.T) {
	for _, c := range []struct {
		reduce Reduce
		clip   float64
		scale  float64
	}{{Exact, 1, 1}, {Exact, 0, 1e-3}, {Exact, 1, 1e-6}, {Float, 1, 1}, {Float, 0, 1e-3}} {
		t.Run(fmt.Sprintf("%s, clip %g, gradients %g", c.reduce, c.clip, c.scale), func(t *testing.T) {
			const microBatches, steps = 3, 8
			random := rand.New(rand.NewPCG(3, 3))
			r := testRule(microBatches, chunkLen+77, 5, 2*chunkLen, 30)
			r.Reduce, r.Optimizer.Clip = c.reduce, c.clip
			first := newState(t, r, 1)
			ref := newReference(first)
			states, appliers := make([]*State, 4), make([]*Applier, 4)
			for i := range states {
				states[i], appliers[i] = copyState(first), newApplier(t, r, i+1)
			}
			for step := 1; step <= steps; step++ {
				var grads [][]float32
				for range microBatches {
					grads = append(grads, fill(r.Layout, random, c.scale))
				}
				entry := entryOf(t, r, states[0], grads, Measured{})
				norm := ref.step(r, step, grads)
				for i, a := range appliers {
					o, err := a.Apply(states[i], entry)
					if err != nil {
						t.Fatal(err)
					}
					if i == 0 && math.Abs(o.Norm-norm) > 1e-4*norm {
						t.Errorf("step %d: norm %g, not %g", step, o.Norm, norm)
					}
					if !equal(states[0], states[i]) {
						t.Fatalf("step %d: %d cores give other bits than 1", step, i+1)
					}
				}
			}
			s := states[0]
			if s.Step != steps || s.Updates != steps {
				t.Errorf("step %d, %d updates", s.Step, s.Updates)
			}
			for i, w := range s.Weights {
				// Fixed point keeps 20 bits and more of the largest element: a
				// small one may step a little differently.
				if diff := math.Abs(float64(w) - ref.w[i]); diff > 1e-4 {
					t.Fatalf("weight %d is %g, the reference %g, at first %g", i, w, ref.w[i], first.Weights[i])
				}
			}
			used := make([]bool, r.Layout.Total)
			for _, tensor := range r.Layout.Tensors {
				for i := range tensor.Len {
					used[tensor.Offset+i] = true
				}
			}
			for i := range used {
				if !used[i] && (s.Weights[i] != 0 || s.Moment1[i] != 0 || s.Moment2[i] != 0) {
					t.Fatalf("the gap at %d is not zero", i)
				}
			}
		})
	}
}

func TestApplyErrorChangesNothing(t *testing.T) {
	r := testRule(3, 100, 7)
	random := rand.New(rand.NewPCG(4, 4))
	s := newState(t, r, 1)
	grads := [][]float32{fill(r.Layout, random, 1), fill(r.Layout, random, 1), fill(r.Layout, random, 1)}
	complete := entryOf(t, r, s, grads, Measured{})
	missing := entryOf(t, r, s, grads[:2], Measured{})
	twice := slices.Clone(complete) // micro-batch 0 instead of 2
	twice[r.Layout.Total+wordSquares] -= 9 - 1
	last := copyState(s)
	last.Step = r.Steps
	for _, c := range []struct {
		name  string
		state *State
		entry []int32
		says  string
	}{
		{"too short", s, complete[1:], "words"},
		{"a micro-batch is missing", s, missing, "holds 2 micro-batches"},
		{"one is there twice", s, twice, "not each of 3 once"},
		{"nothing", s, make([]int32, r.EntryLen()), "holds 0"},
		{"the run is over", last, complete, "ends with step 20"},
	} {
		before := copyState(c.state)
		if _, err := newApplier(t, r, 2).Apply(c.state, c.entry); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !equal(before, c.state) {
			t.Errorf("%s: the state changed", c.name)
		}
	}
	if _, err := newApplier(t, r, 2).Apply(s, complete); err != nil {
		t.Error("the complete entry: ", err)
	}
}

// TestSkip feeds a gradient or loss that is not finite.
func TestSkip(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		for _, c := range []struct {
			name string
			bad  float32
			m    Measured
		}{
			{"NaN gradient", nan, Measured{}}, {"infinite gradient", inf, Measured{}},
			{"NaN loss", 1, Measured{MLMLoss: math.NaN()}}, {"infinite loss", 1, Measured{NSPLoss: math.Inf(1)}},
		} {
			r := testRule(2, 100)
			r.Reduce = mode
			s := newState(t, r, 1)
			before := copyState(s)
			grad := make([]float32, r.Layout.Total)
			grad[50] = c.bad
			c.m.NSPCount, c.m.Tokens = 4, 100
			o, err := newApplier(t, r, 1).Apply(s, entryOf(t, r, s, [][]float32{grad, make([]float32, r.Layout.Total)}, c.m))
			if err != nil || !o.Skipped {
				t.Errorf("%s, %s: %+v, %v", mode, c.name, o, err)
			}
			before.Step, before.Samples, before.Tokens = 1, 8, 200
			if !equal(before, s) {
				t.Errorf("%s, %s: more changed than the counters: %+v", mode, c.name, s.Meta)
			}
		}
	}
	// Float sums can overflow though every gradient is finite.
	r := testRule(2, 100)
	r.Reduce = Float
	s := newState(t, r, 1)
	grad := make([]float32, r.Layout.Total)
	grad[0] = math.MaxFloat32
	o, err := newApplier(t, r, 1).Apply(s, entryOf(t, r, s, [][]float32{grad, grad}, Measured{}))
	if err != nil || !o.Skipped || s.Updates != 0 || s.Step != 1 {
		t.Errorf("overflow: %+v, %v", o, err)
	}
}

// TestExponents follows one tensor's exponent through steps of known gradients.
func TestExponents(t *testing.T) {
	const microBatches = 4
	r := testRule(microBatches, 16)
	r.Steps = 1000
	s, a := newState(t, r, 1), newApplier(t, r, 1)
	// apply does one step whose gradients are all of this size.
	apply := func(size float32) (change int32, clamped int64) {
		t.Helper()
		grad := make([]float32, r.Layout.Total)
		for i := range grad {
			grad[i] = size
		}
		before := s.Exponents[0]
		o, err := a.Apply(s, entryOf(t, r, s, [][]float32{grad, grad, grad, grad}, Measured{}))
		if err != nil {
			t.Fatal(err)
		}
		return s.Exponents[0] - before, o.Clamped
	}
	room := func(size float64) int { // bits between size and the bound
		return math.Ilogb(float64(r.maxElement())) - math.Ilogb(size*math.Ldexp(1, int(s.Exponents[0])))
	}
	if _, clamped := apply(1e-3); clamped != 0 || room(1e-3) != r.headroom() {
		t.Errorf("the first step leaves %d bits of room, %d clamped", room(1e-3), clamped)
	}
	if change, _ := apply(1e-3); change != 0 {
		t.Errorf("the same gradients change the exponent by %d", change)
	}
	if change, _ := apply(1e-6); change != 1 {
		t.Errorf("small gradients raise the exponent by %d at once", change)
	}
	if change, _ := apply(0); change != 0 {
		t.Errorf("no gradient changes the exponent by %d", change)
	}
	for range 12 {
		apply(1e-6)
	}
	if room(1e-6) != r.headroom() {
		t.Errorf("after some steps small gradients have %d bits of room", room(1e-6))
	}
	if change, clamped := apply(3e-6); clamped != 0 || change != -1 && change != -2 {
		t.Errorf("three times larger: exponent changes by %d, %d clamped", change, clamped)
	}
	clamps, s0 := uint64(0), s.Clamped
	steps := 0
	for ; steps < 30; steps++ {
		change, clamped := apply(1)
		clamps += uint64(clamped)
		if clamped == 0 {
			break
		}
		if change > -2 {
			t.Fatalf("clamped, and the exponent changes by %d", change)
		}
	}
	if clamps == 0 || steps == 30 || s.Clamped-s0 != clamps {
		t.Errorf("%d clamped in %d steps, the state counts %d", clamps, steps, s.Clamped-s0)
	}
	for range 200 {
		apply(math.SmallestNonzeroFloat32)
	}
	if s.Exponents[0] != maxExponent {
		t.Errorf("the exponent of tiny gradients is %d", s.Exponents[0])
	}
	for range 200 {
		apply(math.MaxFloat32)
	}
	if s.Exponents[0] != minExponent {
		t.Errorf("the exponent of huge gradients is %d", s.Exponents[0])
	}
}

func TestRate(t *testing.T) {
	o := AdamW{LearningRate: 1, Warmup: 4}
	for _, c := range []struct {
		step uint64
		want float64
	}{{1, 0.25}, {2, 0.5}, {4, 1}, {5, 1}, {6, 5.0 / 6}, {10, 1.0 / 6}, {11, 0}} {
		if got := o.Rate(c.step, 10); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("rate of step %d is %g, not %g", c.step, got, c.want)
		}
	}
	if got := (AdamW{LearningRate: 2}).Rate(1, 10); got != 2 {
		t.Errorf("without warmup the first rate is %g", got)
	}
	for schedule, want := range map[Schedule][4]float64{
		Linear: {1, 0.75, 0.5, 0.25}, Sqrt: {1, 0.5, 1 - math.Sqrt(0.5), 1 - math.Sqrt(0.75)},
	} {
		o := AdamW{LearningRate: 1, Warmup: 2, Hold: 3, Schedule: schedule}
		for step, want := range append([]float64{0.5, 1, 1, 1, 1}, want[:]...) {
			if got := o.Rate(uint64(step+1), 9); math.Abs(got-want) > 1e-15 {
				t.Errorf("%s: the rate of step %d is %g, not %g", schedule, step+1, got, want)
			}
		}
	}
}

func TestPower(t *testing.T) {
	for _, x := range []float64{0, 0.9, 0.999} {
		for n := range uint64(3000) {
			if got, want := power(x, n), math.Pow(x, float64(n)); math.Abs(got-want) > 1e-12 {
				t.Fatalf("%g^%d is %g, not %g", x, n, got, want)
			}
		}
	}
}
