package vector

import "math"

// AddShorts sets dst[i] = a[i] + b[i] of words that are pairs of 16-bit integers, each
// added on its own. dst may be a or b.
func AddShorts(dst, a, b []int32) { best.addShorts(dst, a, b) }

func (l level) addShorts(dst, a, b []int32) {
	if n := l.whole(len(dst)); n > 0 {
		l.addShortsKernel(dst[:n], a[:n], b[:n])
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		low := uint32(a[i]+b[i]) & 0xffff
		high := (uint32(a[i])>>16 + uint32(b[i])>>16) << 16
		dst[i] = int32(high | low)
	}
}

// SquaresOfShorts returns the sum of the squares of at most 2^20 words. It is exact in
// integers below 2^53, and so in float64, in any order.
func SquaresOfShorts(words []int16) float64 { return best.squaresOfShorts(words) }

func (l level) squaresOfShorts(words []int16) float64 {
	var sum [8]uint64
	if n := len(words) &^ (2*step - 1); n > 0 && l != portable {
		l.squaresShortsKernel(&sum, words[:n])
		words = words[n:]
	}
	total := uint64(0)
	for _, s := range sum {
		total += s
	}
	for _, w := range words {
		total += uint64(int64(w) * int64(w))
	}
	return float64(total)
}

// StochasticRounding is how floats become 16-bit integers without a bias: |x|·Scale is
// rounded up with the probability of its fraction, else down, and clamped to ±Limit. The
// chance is a hash of Key and the number of the element, so it is the same for whoever
// rounds the element, whenever.
type StochasticRounding struct {
	Scale float64 // a power of two that is a normal float32
	Limit int16   // positive
	Key   uint64
}

// Round sets sum to the rounded elements of grad, of which the first has the number first;
// 0 where one is not finite.
func (r StochasticRounding) Round(sum []int16, grad []float32, first uint32) Rounded {
	return best.roundByChance(r, sum, grad, first, false)
}

// Add adds the rounded elements of grad to sum; nothing where one is not finite.
func (r StochasticRounding) Add(sum []int16, grad []float32, first uint32) Rounded {
	return best.roundByChance(r, sum, grad, first, true)
}

func (l level) roundByChance(r StochasticRounding, sum []int16, grad []float32, first uint32, add bool) Rounded {
	var seen roundSeen
	if n := l.whole(len(sum)); n > 0 {
		seen = l.stochasticKernel(r, sum[:n], grad[:n], first, add)
		sum, grad, first = sum[n:], grad[n:], first+uint32(n)
	}
	if !add {
		clear(sum)
	}
	seen.addByChance(r, sum, grad, first)
	return seen.rounded(r.Scale, int32(r.Limit))
}

// The factors of the hash, by Wellons ("Prospecting for Hash Functions", 2018, lowbias32).
const (
	mixer0 = 0x21f0aaad
	mixer1 = 0x735a2d97
)

// chance returns a number above 0 and below 1 in steps of 2^-23, times 2^23. A float32
// holds it as it is.
func chance(key uint64, number uint32) float32 {
	x := number + uint32(key)
	x = (x ^ x>>16) * mixer0
	x += uint32(key >> 32)
	x = (x ^ x>>15) * mixer1
	x ^= x >> 15
	return float32(x>>9) + 0.5
}

// addByChance is the reference. Every operation of it is exact in float32, apart from a
// product that overflows, which is beyond the limit either way, or is subnormal, of which
// chance rounds no fraction up.
func (s *roundSeen) addByChance(r StochasticRounding, sum []int16, grad []float32, first uint32) {
	grad = grad[:len(sum)]
	for i, g := range grad {
		size := math.Float32bits(g) &^ (1 << 31)
		if size >= infinity {
			s.infinite = true
			continue
		}
		s.largest = max(s.largest, size)
		v := math.Abs(float64(g)) * r.Scale
		if v > float64(r.Limit) {
			v = float64(r.Limit)
			s.clamped++
		}
		down := math.Trunc(v)
		q := int16(down)
		if float64(v-down)*(1<<23) > float64(chance(r.Key, first+uint32(i))) {
			q++
		}
		if g < 0 {
			q = -q
		}
		sum[i] += q
	}
}
