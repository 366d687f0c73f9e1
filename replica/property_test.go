package replica

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/divergence"
)

// exactSum adds micro-batches in integers of any size, element by element.
func exactSum(r Rule, s *State, grads [][]float32) []*big.Int {
	sum := make([]*big.Int, r.Layout.Total)
	for i := range sum {
		sum[i] = new(big.Int)
	}
	limit := float64(r.maxElement())
	for k, tensor := range r.Layout.Tensors {
		for i := tensor.Offset; i < tensor.Offset+tensor.Len; i++ {
			for _, g := range grads {
				v := float64(g[i])
				if math.IsNaN(v) || math.IsInf(v, 0) {
					continue
				}
				v = math.RoundToEven(math.Ldexp(v, int(s.Exponents[k])))
				sum[i].Add(sum[i], big.NewInt(int64(min(max(v, -limit), limit))))
			}
		}
	}
	return sum
}

// checkSum gives the micro-batches in this order to workers, adds the workers'
// parts in another, and compares with the exact sum. On the way no partial sum
// may leave the range of an int32, because a ring adds parts in any order.
func checkSum(t *testing.T, r Rule, s *State, grads [][]float32, workers int, random *rand.Rand) []int32 {
	t.Helper()
	parts := make([]*Accumulator, workers)
	for w := range parts {
		parts[w] = NewAccumulator(r, 1+w%2)
		parts[w].Reset(s)
	}
	for _, i := range random.Perm(len(grads)) {
		if err := parts[random.IntN(workers)].Add(i, grads[i], Measured{MLMCount: 1, NSPCount: 1, Tokens: 2}); err != nil {
			t.Fatal(err)
		}
	}
	wide := make([]int64, r.EntryLen())
	for _, w := range random.Perm(workers) {
		for i, v := range parts[w].Entry() {
			wide[i] += int64(v)
			if wide[i] > math.MaxInt32 || wide[i] < math.MinInt32 {
				t.Fatalf("word %d overflows: %d", i, wide[i])
			}
		}
	}
	entry := make([]int32, len(wide))
	for i, v := range wide {
		entry[i] = int32(v)
	}
	for i, want := range exactSum(r, s, grads) {
		if want.Cmp(big.NewInt(int64(entry[i]))) != 0 {
			t.Fatalf("element %d sums to %d, not %d", i, entry[i], want)
		}
	}
	return entry
}

// TestSumProperty draws steps at random: number of micro-batches, workers,
// exponents, and gradients of any size that a float32 can have.
func TestSumProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for range 300 {
		microBatches := 1 + random.IntN(20)
		if random.IntN(10) == 0 {
			microBatches = MaxMicroBatches - random.IntN(2)
		}
		r := testRule(microBatches, 1+random.IntN(20), 1+random.IntN(3))
		s := newState(t, r, random.Uint64())
		for k := range s.Exponents {
			s.Exponents[k] = minExponent + random.Int32N(maxExponent-minExponent+1)
		}
		grads := make([][]float32, microBatches)
		for i := range grads {
			grads[i] = make([]float32, r.Layout.Total)
			for k, tensor := range r.Layout.Tensors {
				for j := range tensor.Len {
					v := math.Float32frombits(random.Uint32()) // of any magnitude
					if random.IntN(2) == 0 {                   // near the bound
						v = float32(math.Ldexp(random.NormFloat64()*float64(r.maxElement()), -int(s.Exponents[k])))
					}
					if v != v || v-v != 0 { // NaN or infinite
						v = 1
					}
					grads[i][tensor.Offset+j] = v
				}
			}
		}
		entry := checkSum(t, r, s, grads, 1+random.IntN(5), random)
		before := slices.Clone(s.Weights)
		o, err := newApplier(t, r, 1).Apply(s, entry)
		if err != nil {
			t.Fatal(err)
		}
		if o.Skipped {
			t.Fatal("finite gradients are skipped")
		}
		// A step of AdamW is bounded, whatever the gradient.
		for i, w := range s.Weights {
			if moved := math.Abs(float64(w - before[i])); !(moved <= 2*o.LearningRate) {
				t.Fatalf("weight %d moved by %g at a learning rate of %g", i, moved, o.LearningRate)
			}
		}
		for k, e := range s.Exponents {
			if e < minExponent || e > maxExponent {
				t.Fatalf("exponent of tensor %d is %d", k, e)
			}
		}
	}
}

// FuzzSum takes the bytes as exponent and gradients of three micro-batches on
// two workers.
func FuzzSum(f *testing.F) {
	const microBatches, elements = 3, 4
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), binary.LittleEndian.AppendUint32(nil, math.Float32bits(math.MaxFloat32)))
	f.Add(uint64(3), binary.LittleEndian.AppendUint32(nil, 0x7fc00000)) // NaN
	f.Add(uint64(4), binary.LittleEndian.AppendUint32(nil, 0xff800000)) // -Inf
	f.Add(uint64(5), binary.LittleEndian.AppendUint32(nil, 1))          // the smallest
	r := testRule(microBatches, elements)
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := newState(t, r, 1)
		s.Exponents[0] = minExponent + random.Int32N(maxExponent-minExponent+1)
		grads := make([][]float32, microBatches)
		infinite := false
		for i := range grads {
			grads[i] = make([]float32, r.Layout.Total)
			for j := 0; j < elements && len(b) >= 4; j, b = j+1, b[4:] {
				v := math.Float32frombits(binary.LittleEndian.Uint32(b))
				grads[i][j] = v
				infinite = infinite || v-v != 0
			}
		}
		entry := checkSum(t, r, s, grads, 2, random)
		before := copyState(s)
		o, err := newApplier(t, r, 1).Apply(s, entry)
		if err != nil || o.Skipped != infinite {
			t.Fatalf("outcome %+v, %v", o, err)
		}
		if infinite {
			before.Step, before.Clamped, before.Samples, before.Tokens = s.Step, s.Clamped, s.Samples, s.Tokens
			if !equal(before, s) {
				t.Fatal("a skipped step changed weights, moments or exponents")
			}
		}
	})
}

// TestGoldenBits pins the arithmetic itself: every processor and every release
// of Go must come to these digests. They change only when the arithmetic does,
// and then an older checkpoint no longer continues to the same bits. On
// amd64, GOAMD64=v3 (which fuses where it may) and GOARCH=386 are good trials.
func TestGoldenBits(t *testing.T) {
	for mode, want := range map[Reduce]string{
		Exact:   "03584f5d93482550e7b3a3878d70850c",
		Exact16: "3f93dd02da61ac76c07fed27108e8c4f",
		Float:   "c7ea723bbb1a85c25a0668be2cd98419",
	} {
		random := rand.New(rand.NewPCG(7, 7))
		uniform := func(scale float32) []float32 { // no logarithm, so the same on every processor
			flat := make([]float32, 0)
			for range testRule(1, chunkLen+5, 40).Layout.Total {
				flat = append(flat, (random.Float32()-0.5)*scale)
			}
			return flat
		}
		r := testRule(4, chunkLen+5, 40)
		r.Reduce, r.Optimizer.Clip = mode, 0.05 // below the norm of some steps
		s, err := NewState(r, uniform(1))
		if err != nil {
			t.Fatal(err)
		}
		a := newApplier(t, r, 2)
		for step := range 10 {
			var grads [][]float32
			for range 4 {
				grads = append(grads, uniform(float32(step%3+1)*1e-3))
			}
			if _, err := a.Apply(s, entryOf(t, r, s, grads, Measured{Tokens: 5})); err != nil {
				t.Fatal(err)
			}
		}
		if s.Losses.Steps != 10 {
			t.Errorf("%s: losses of %d steps, not 10", mode, s.Losses.Steps)
		}
		s.Losses, s.History = Losses{}, divergence.History{} // what is only told of the run
		got, err := Digest(s, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: the state's digest is %s, not %s", mode, got, want)
		}
	}
}
