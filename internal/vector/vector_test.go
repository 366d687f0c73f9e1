package vector

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// eachLevel runs a test for every level of this machine, plain Go included.
func eachLevel(t *testing.T, test func(t *testing.T, l level)) {
	for l := portable; l <= best; l++ {
		t.Run(l.String(), func(t *testing.T) { test(t, l) })
	}
}

// lengths are some around the widths of registers, and some long ones.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100, 127, 255, 1000, 1003}

var special = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0x1p-126, -0x1p-126, 0x1.fffffcp-127, 0x1p-149 * 3,
	math.MaxFloat32, -math.MaxFloat32, 0x1p64, -0x1p64, 0x1p31, -0x1p31, 2147483520, 0x1p23 + 1, 0x1p24 - 1,
	float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0x7fc00000), math.Float32frombits(0xffc12345), math.Float32frombits(0x7f800001),
}

var specialInts = []int32{0, 1, -1, 2, -2, math.MaxInt32, math.MinInt32, math.MinInt32 + 1, 1 << 24, 1<<24 + 1, -1<<24 - 1, 1<<30 + 1}

// draw returns n floats at an odd address: normal numbers near a scale, bits at random, and
// special values.
func draw(random *rand.Rand, n int, scale float64) []float32 {
	f := make([]float32, n+3)[3:]
	for i := range f {
		switch random.IntN(8) {
		case 0:
			f[i] = math.Float32frombits(random.Uint32())
		case 1:
			f[i] = special[random.IntN(len(special))]
		default:
			f[i] = float32(random.NormFloat64() * scale)
		}
	}
	return f
}

func drawWords(random *rand.Rand, n int) []int32 {
	w := make([]int32, n+1)[1:]
	for i := range w {
		if w[i] = random.Int32() >> random.IntN(32); random.IntN(2) == 0 {
			w[i] = -w[i]
		}
		if random.IntN(16) == 0 {
			w[i] = specialInts[random.IntN(len(specialInts))]
		}
	}
	return w
}

func bitsOf(f []float32) []int32 {
	w := make([]int32, len(f)+1)[1:]
	for i, x := range f {
		w[i] = int32(math.Float32bits(x))
	}
	return w
}

// sameWord compares bits; NaN are alike.
func sameWord(a, b int32) bool {
	return a == b || float(a) != float(a) && float(b) != float(b)
}

func sameFloats(a, b []float32) error {
	for i := range a {
		if x, y := math.Float32bits(a[i]), math.Float32bits(b[i]); !sameWord(int32(x), int32(y)) {
			return fmt.Errorf("element %d of %d is %g (%#x), not %g (%#x)", i, len(a), a[i], x, b[i], y)
		}
	}
	return nil
}

func TestAdd(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(1, 1))
		for _, n := range lengths {
			a, b, dst := drawWords(random, n), drawWords(random, n), make([]int32, n+2)
			l.addInts(dst[:n], a, b)
			for i := range n {
				if dst[i] != a[i]+b[i] {
					t.Fatalf("length %d: %d + %d is %d", n, a[i], b[i], dst[i])
				}
			}
			if dst[n] != 0 || dst[n+1] != 0 {
				t.Fatalf("length %d: words behind it changed", n)
			}
			want := slices.Clone(dst[:n])
			l.addInts(a, a, b)
			if !slices.Equal(a, want) {
				t.Errorf("length %d: a sum in place differs", n)
			}

			x, y := bitsOf(draw(random, n, 1)), bitsOf(draw(random, n, 1))
			l.addFloats(dst[:n], x, y)
			l.addFloats(x, x, y)
			if !slices.Equal(dst[:n], x) {
				t.Errorf("length %d: a sum of floats in place differs", n)
			}
		}
	})
}

// TestAddFloats compares with the sum in float64, rounded: that is the sum in float32.
func TestAddFloats(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(2, 2))
		for _, n := range lengths {
			a, b := draw(random, n, 1), draw(random, n, 1)
			dst := make([]int32, n)
			l.addFloats(dst, bitsOf(a), bitsOf(b))
			for i := range n {
				want := float32(float64(a[i]) + float64(b[i]))
				if !sameWord(dst[i], int32(math.Float32bits(want))) {
					t.Fatalf("length %d: %g + %g is %g, not %g", n, a[i], b[i], float(dst[i]), want)
				}
			}
		}
	})
}

// TestSquares compares with the order by the book: an array for each lane.
func TestSquares(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(3, 3))
		for _, n := range append([]int{1 << 16, 1<<16 - 1, 5*4096 + 77, 3*4096 + 16, 2 * 4096, 4097}, lengths...) {
			for _, floats := range []bool{false, true} {
				words := drawWords(random, n)
				if floats {
					f := make([]float32, n)
					for i := range f {
						f[i] = float32(random.NormFloat64() * math.Ldexp(1, random.IntN(40)-20))
					}
					words = bitsOf(f)
				}
				want := 0.0
				for block := range slices.Chunk(words, 4096) {
					var sums [16]float64
					for i, w := range block {
						x := float64(w)
						if floats {
							x = float64(float(w))
						}
						square := x * x
						sums[i%16] += square
					}
					a := [8]float64{}
					for k := range a {
						a[k] = sums[k] + sums[k+8]
					}
					want += ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
				}
				if got := l.squares(words, floats); math.Float64bits(got) != math.Float64bits(want) {
					t.Errorf("length %d, floats %v: %v, not %v", n, floats, got, want)
				}
			}
		}
	})
}

func TestSquaresNotFinite(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		for _, bad := range []float32{float32(math.Inf(-1)), float32(math.NaN())} {
			for at := range 40 {
				f := make([]float32, 40)
				f[at] = bad
				if got := l.squares(bitsOf(f), true); !math.IsInf(got, 1) && !math.IsNaN(got) {
					t.Errorf("%g at %d gives %g", bad, at, got)
				}
			}
		}
	})
}

func checkAdamW(l level, a *AdamW, w, m, v []float32, words []int32, floats bool) error {
	w2, m2, v2 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
	portable.adamw(a, w2, m2, v2, words, floats)
	l.adamw(a, w, m, v, words, floats)
	for name, pair := range map[string][2][]float32{"weights": {w, w2}, "moment 1": {m, m2}, "moment 2": {v, v2}} {
		if err := sameFloats(pair[0], pair[1]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func someAdamW(random *rand.Rand) *AdamW {
	a := &AdamW{
		Quantum: math.Ldexp(1, -random.IntN(60)) / float64(1+random.IntN(1024)), Beta1: 0.9, Beta2: 0.999, Rest1: 0.1, Rest2: 0.001,
		Correct1: 1 + 9*random.Float32(), Correct2: 1 + 999*random.Float32(), Epsilon: 1e-6, Rate: random.Float32() * 1e-2, Clip: random.Float32(),
	}
	if random.IntN(2) == 0 {
		a.Decay = 0.01
	}
	if random.IntN(2) == 0 {
		a.Clip = 1
	}
	return a
}

func TestAdamW(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		random := rand.New(rand.NewPCG(4, 4))
		for range 20 {
			for _, n := range lengths {
				w, m, v := draw(random, n, 1), draw(random, n, 1e-3), draw(random, n, 1e-6)
				if err := checkAdamW(l, someAdamW(random), w, m, v, drawWords(random, n), false); err != nil {
					t.Fatalf("ints, length %d: %v", n, err)
				}
				if err := checkAdamW(l, someAdamW(random), w, m, v, bitsOf(draw(random, n, 1)), true); err != nil {
					t.Fatalf("floats, length %d: %v", n, err)
				}
			}
		}
	})
}

// FuzzAdamW takes four words of each element and the numbers of the step from the bytes.
func FuzzAdamW(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), make([]byte, 16*40))
	random := rand.New(rand.NewPCG(5, 5))
	seed := make([]byte, 16*33)
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	f.Add(uint64(3), seed)
	f.Fuzz(func(t *testing.T, key uint64, b []byte) {
		random := rand.New(rand.NewPCG(key, 0))
		a, floats := someAdamW(random), random.IntN(2) == 0
		w, m, v, words := parse(b)
		for l := portable + 1; l <= best; l++ {
			if err := checkAdamW(l, a, slices.Clone(w), slices.Clone(m), slices.Clone(v), words, floats); err != nil {
				t.Errorf("%v: %v", l, err)
			}
		}
	})
}

func parse(b []byte) (w, m, v []float32, words []int32) {
	next := func() uint32 {
		x := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return x
	}
	for len(b) >= 16 {
		w, m, v = append(w, math.Float32frombits(next())), append(m, math.Float32frombits(next())), append(v, math.Float32frombits(next()))
		words = append(words, int32(next()))
	}
	return w, m, v, words
}
