package vector

import "math"

// Rounding is how floats become integers: round(x * Scale), ties to even, clamped to
// ±Limit.
type Rounding struct {
	Scale float64 // a power of two that is a normal float32
	Limit int32   // positive
}

// Rounded is what was seen on the way.
type Rounded struct {
	// Largest is the largest absolute value of x * Scale, rounded up, at most Limit. So it
	// is 0 only if every element is 0: elements that all round to 0 still show that the
	// scale is too small.
	Largest  int32
	Clamped  int32 // elements
	Infinite bool  // some element was not finite
}

// Round sets sum to the rounded elements of grad; 0 where one is not finite.
func (r Rounding) Round(sum []int32, grad []float32) Rounded { return best.round(r, sum, grad, false) }

// Add adds the rounded elements of grad to sum; nothing where one is not finite.
func (r Rounding) Add(sum []int32, grad []float32) Rounded { return best.round(r, sum, grad, true) }

func (l level) round(r Rounding, sum []int32, grad []float32, add bool) Rounded {
	var seen roundSeen
	n := l.whole(len(sum))
	if n > 0 {
		seen = l.roundKernel(r, sum[:n], grad[:n], add)
		sum, grad = sum[n:], grad[n:]
	}
	if !add {
		clear(sum)
	}
	seen.add(r, sum, grad)
	return seen.rounded(r.Scale, r.Limit)
}

// roundSeen is Rounded before the scale.
type roundSeen struct {
	largest  uint32 // bits of the largest finite absolute value: without the sign, floats ascend as their bits do
	clamped  int32
	infinite bool
}

func (s roundSeen) rounded(scale float64, limit int32) Rounded {
	size := float64(math.Float32frombits(s.largest)) * scale
	return Rounded{Largest: int32(math.Ceil(min(size, float64(limit)))), Clamped: s.clamped, Infinite: s.infinite}
}

// roundingMagic added to a float64 below 2^31 leaves the nearest integer, ties to
// even, in the low 32 bits of the mantissa.
const roundingMagic = 3 << 51

const infinity = 0x7f800000 // bits of a float32

// add is the reference. The scale is a power of two, so the product is exact: a compiler
// that fuses it with the addition of roundingMagic changes nothing.
//
// Kernels multiply float32 instead. Then the product is exact too, unless it overflows,
// which is beyond the limit either way, or is subnormal, which rounds to 0 either way.
func (s *roundSeen) add(r Rounding, sum []int32, grad []float32) {
	grad = grad[:len(sum)]
	top := float64(r.Limit)
	for i, g := range grad {
		size := math.Float32bits(g) &^ (1 << 31)
		if size >= infinity {
			s.infinite = true
			continue
		}
		s.largest = max(s.largest, size)
		v := float64(g) * r.Scale
		if math.Abs(v) > top {
			v = math.Copysign(top, v)
			s.clamped++
		}
		sum[i] += int32(math.Float64bits(v + roundingMagic))
	}
}

// largestFloat is the largest float32 that is not above an integer: a float32 is above the
// integer where it is above this.
func largestFloat(limit int32) float32 {
	f := float32(limit)
	if float64(f) > float64(limit) {
		f = math.Nextafter32(f, 0)
	}
	return f
}
