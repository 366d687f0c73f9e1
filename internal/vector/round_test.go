package vector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// byTheBook rounds in float64 with the functions of package math.
func byTheBook(r Rounding, sum []int32, grad []float32) (seen Rounded) {
	limit := float64(r.Limit)
	for i, g := range grad {
		x := float64(g) * r.Scale
		if math.IsNaN(x) || math.IsInf(x, 0) {
			seen.Infinite = true
			continue
		}
		v := math.RoundToEven(x)
		if math.Abs(x) > limit {
			v = math.Copysign(limit, x)
			seen.Clamped++
		}
		sum[i] += int32(v)
		seen.Largest = max(seen.Largest, int32(min(math.Ceil(math.Abs(x)), limit)))
	}
	return seen
}

func checkRounding(l level, r Rounding, sum []int32, grad []float32) error {
	for _, add := range []bool{true, false} {
		want, got := slices.Clone(sum), slices.Clone(sum)
		if !add {
			clear(want)
		}
		wantSeen, gotSeen := byTheBook(r, want, grad), l.round(r, got, grad, add)
		if gotSeen != wantSeen {
			return fmt.Errorf("saw %+v, not %+v", gotSeen, wantSeen)
		}
		for i := range want {
			if got[i] != want[i] {
				return fmt.Errorf("%g (%d of %d) made %d of %d, not %d", grad[i], i, len(grad), got[i], sum[i], want[i])
			}
		}
	}
	return nil
}

var limits = []int32{1, 1000, 2097151, 1<<24 + 1, math.MaxInt32 / 3, math.MaxInt32}

func TestRound(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(6, 6))
		for _, limit := range limits {
			for _, exponent := range []int{-126, -30, -3, 0, 7, 20, 40, 96, 127} {
				r := Rounding{Scale: math.Ldexp(1, exponent), Limit: limit}
				edge := float32(float64(limit) / r.Scale)
				grad := append([]float32{
					edge, -edge, math.Nextafter32(edge, 0), math.Nextafter32(edge, 1e38), -math.Nextafter32(edge, 1e38), 2 * edge, -2 * edge,
					float32(0.5 / r.Scale), float32(1.5 / r.Scale), float32(2.5 / r.Scale), float32(-0.5 / r.Scale), float32(-1.5 / r.Scale), // ties
				}, special...)
				for range 200 {
					grad = append(grad, float32(random.NormFloat64()*float64(edge)/2), float32(random.NormFloat64()/r.Scale*10))
				}
				for from := range 20 { // each element in each lane
					if err := checkRounding(l, r, drawWords(random, len(grad)-from), grad[from:]); err != nil {
						t.Fatalf("limit %d, exponent %d: %v", limit, exponent, err)
					}
				}
			}
		}
		for _, n := range lengths {
			if err := checkRounding(l, Rounding{Scale: 1, Limit: 1 << 30}, drawWords(random, n), draw(random, n, 1000)); err != nil {
				t.Errorf("length %d: %v", n, err)
			}
		}
	})
}

// TestLargest holds what tells a tensor that is too small for its exponent from one that
// has no gradient.
func TestLargest(t *testing.T) {
	for _, c := range []struct {
		grad []float32
		want int32
	}{
		{[]float32{0, float32(math.Copysign(0, -1)), 0}, 0},
		{[]float32{0, -math.SmallestNonzeroFloat32}, 1},
		{[]float32{0.25, -0.5}, 1},
		{[]float32{1, -1}, 1},
		{[]float32{-1.25, 1}, 2},
		{[]float32{float32(math.NaN()), 0.75}, 1},
		{[]float32{-1e9, 2}, 1000},
	} {
		eachLevel(t, func(t *testing.T, l level) {
			for at := range 16 {
				grad := append(make([]float32, at), c.grad...)
				grad = append(grad, make([]float32, 20)...)
				if got := l.round(Rounding{Scale: 1, Limit: 1000}, make([]int32, len(grad)), grad, true).Largest; got != c.want {
					t.Errorf("largest of %g is %d, not %d", c.grad, got, c.want)
				}
			}
		})
	}
}

// FuzzRound takes exponent and limit from the key, and gradients from the bytes.
func FuzzRound(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte("some bytes that are floats, more than sixteen of them at a time, and some more"))
	f.Fuzz(func(t *testing.T, key uint64, b []byte) {
		random := rand.New(rand.NewPCG(key, 1))
		r := Rounding{Scale: math.Ldexp(1, random.IntN(127)-30), Limit: limits[random.IntN(len(limits))]}
		w, m, v, words := parse(b)
		for _, grad := range [][]float32{w, m, v} {
			for l := portable; l <= best; l++ {
				if err := checkRounding(l, r, words, grad); err != nil {
					t.Errorf("%v, %+v: %v", l, r, err)
				}
			}
		}
	})
}
