package vector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAddShorts(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(7, 7))
		for _, n := range lengths {
			a, b, dst := drawWords(random, n), drawWords(random, n), make([]int32, n)
			l.addShorts(dst, a, b)
			for i := range dst {
				low, high := int16(a[i])+int16(b[i]), int16(a[i]>>16)+int16(b[i]>>16)
				if int16(dst[i]) != low || int16(dst[i]>>16) != high {
					t.Fatalf("length %d: %#x + %#x is %#x", n, a[i], b[i], dst[i])
				}
			}
		}
	})
}

func drawShorts(random *rand.Rand, n int) []int16 {
	w := make([]int16, n+1)[1:]
	for i := range w {
		if w[i] = int16(random.Uint32()) >> random.IntN(16); random.IntN(8) == 0 {
			w[i] = []int16{math.MinInt16, math.MaxInt16, 0, -1}[random.IntN(4)]
		}
	}
	return w
}

func TestSquaresOfShorts(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(8, 8))
		for _, n := range append([]int{1 << 16, 1<<16 + 31}, lengths...) {
			words, want := drawShorts(random, n), int64(0)
			for _, w := range words {
				want += int64(w) * int64(w)
			}
			if got := l.squaresOfShorts(words); got != float64(want) {
				t.Errorf("length %d: %v, not %d", n, got, want)
			}
		}
		largest := make([]int16, 1<<20)
		for i := range largest {
			largest[i] = math.MinInt16
		}
		if got := l.squaresOfShorts(largest); got != 1<<50 {
			t.Errorf("2^20 of the largest squares sum up to %v, not 2^50", got)
		}
	})
}

func TestAdamWByShorts(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(9, 9))
		for range 10 {
			for _, n := range lengths {
				a, shorts := someAdamW(random), drawShorts(random, n)
				words := make([]int32, n)
				for i, w := range shorts {
					words[i] = int32(w)
				}
				w, m, v := draw(random, n, 1), draw(random, n, 1e-3), draw(random, n, 1e-6)
				w2, m2, v2 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
				portable.adamw(a, w2, m2, v2, words, false)
				l.adamwByShorts(a, w, m, v, shorts)
				for _, pair := range [][2][]float32{{w, w2}, {m, m2}, {v, v2}} {
					if err := sameFloats(pair[0], pair[1]); err != nil {
						t.Fatalf("length %d: %v", n, err)
					}
				}
			}
		}
	})
}

// chanceByTheBook rounds with integers of 64 bits and functions of package math.
func chanceByTheBook(r StochasticRounding, sum []int16, grad []float32, first uint32) (seen Rounded) {
	for i, g := range grad {
		if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
			seen.Infinite = true
			continue
		}
		x := uint64(first+uint32(i)+uint32(r.Key)) & (1<<32 - 1)
		x = (x ^ x>>16) * 0x21f0aaad & (1<<32 - 1)
		x = (x + r.Key>>32) & (1<<32 - 1)
		x = (x ^ x>>15) * 0x735a2d97 & (1<<32 - 1)
		x ^= x >> 15
		u := (math.Floor(float64(x)/512) + 0.5) / (1 << 23)
		v := math.Abs(float64(g)) * r.Scale
		seen.Largest = max(seen.Largest, int32(min(math.Ceil(v), float64(r.Limit))))
		if v > float64(r.Limit) {
			v = float64(r.Limit)
			seen.Clamped++
		}
		q := math.Floor(v)
		if v-q > u {
			q++
		}
		sum[i] += int16(math.Copysign(q, float64(g)))
	}
	return seen
}

func checkChance(l level, r StochasticRounding, sum []int16, grad []float32, first uint32) error {
	for _, add := range []bool{true, false} {
		want, got := slices.Clone(sum), slices.Clone(sum)
		if !add {
			clear(want)
		}
		wantSeen, gotSeen := chanceByTheBook(r, want, grad, first), l.roundByChance(r, got, grad, first, add)
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

var shortLimits = []int16{1, 127, 511, 4095, math.MaxInt16}

func TestRoundByChance(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(10, 10))
		for _, limit := range shortLimits {
			for _, exponent := range []int{-126, -30, 0, 9, 30, 96, 127} {
				r := StochasticRounding{Scale: math.Ldexp(1, exponent), Limit: limit, Key: random.Uint64()}
				edge := float32(float64(limit) / r.Scale)
				grad := append([]float32{edge, -edge, math.Nextafter32(edge, 0), math.Nextafter32(edge, 1e38), -math.Nextafter32(edge, 1e38), 2 * edge}, special...)
				for range 200 {
					grad = append(grad, float32(random.NormFloat64()*float64(edge)/2), float32(random.NormFloat64()/r.Scale))
				}
				for from := range 20 {
					if err := checkChance(l, r, drawShorts(random, len(grad)-from), grad[from:], random.Uint32()); err != nil {
						t.Fatalf("limit %d, exponent %d: %v", limit, exponent, err)
					}
				}
			}
		}
	})
}

// TestChanceHasNoBias rounds one value many times: the mean is the value, for all numbers
// of one key and for all keys of one number.
func TestChanceHasNoBias(t *testing.T) {
	const n = 1 << 20
	for _, v := range []float32{0.001, 0.25, 0.5, 1.875, -0.3, -2.7, 1000.01} {
		f := float64(v) - math.Floor(float64(v))
		bound := 5 * math.Sqrt(f*(1-f)/n) // five times the deviation of the mean
		grad, sum := make([]float32, n), make([]int16, n)
		for i := range grad {
			grad[i] = v
		}
		StochasticRounding{Scale: 1, Limit: 4095, Key: 0x1234567890abcdef}.Round(sum, grad, 77)
		numbers, keys := 0, 0
		one := make([]int16, 1)
		for i, q := range sum {
			numbers += int(q)
			StochasticRounding{Scale: 1, Limit: 4095, Key: uint64(i) * 0x9e3779b97f4a7c15}.Round(one, grad[:1], 5)
			keys += int(one[0])
		}
		for name, total := range map[string]int{"numbers": numbers, "keys": keys} {
			if mean := float64(total) / n; math.Abs(mean-float64(v)) > bound {
				t.Errorf("the mean over %s is %g, not %g within %g", name, mean, v, bound)
			}
		}
	}
}

// FuzzRoundByChance takes exponent, limit and key from a number, and gradients from the bytes.
func FuzzRoundByChance(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte("some bytes that are floats, more than sixteen of them at a time, and some more"))
	f.Fuzz(func(t *testing.T, key uint64, b []byte) {
		random := rand.New(rand.NewPCG(key, 2))
		r := StochasticRounding{Scale: math.Ldexp(1, random.IntN(127)-30), Limit: shortLimits[random.IntN(len(shortLimits))], Key: random.Uint64()}
		w, m, v, words := parse(b)
		sum := make([]int16, len(words))
		for i, x := range words {
			sum[i] = int16(x)
		}
		for _, grad := range [][]float32{w, m, v} {
			for l := portable; l <= best; l++ {
				if err := checkChance(l, r, sum, grad, uint32(key)); err != nil {
					t.Errorf("%v, %+v: %v", l, r, err)
				}
			}
		}
	})
}
