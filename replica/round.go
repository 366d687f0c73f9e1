package replica

import "math"

// How the gradient of a micro-batch is rounded to fixed point.

// addRoundedGradient rounds the gradient to integers and adds them; it reports
// whether any element was not finite.
func (a *Accumulator) addRoundedGradient(grad []float32) bool {
	type chunkResult struct {
		largest, clamped int32
		infinite         bool
	}
	limit := maxElement(a.rule.MicroBatches)
	results := make([]chunkResult, len(a.chunks))
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		scale := math.Ldexp(1, int(a.exponents[c.tensor]))
		f := &results[i]
		f.largest, f.clamped, f.infinite = roundAndAdd(a.entry[c.from:c.to], grad[c.from:c.to], scale, limit)
	})
	infinite := false
	tensors := make([]chunkResult, len(a.rule.Layout.Tensors))
	for i, f := range results {
		t := &tensors[a.chunks[i].tensor]
		t.largest = max(t.largest, f.largest)
		t.clamped += f.clamped
		infinite = infinite || f.infinite
	}
	c := a.rule.counters(a.entry)
	for k, t := range tensors {
		// Bounded like the elements, so that the sum over micro-batches fits.
		c.add(fixedWords+2*k, int64(min(t.clamped, limit)))
		c.add(fixedWords+2*k+1, int64(t.largest))
	}
	return infinite
}

// roundingMagic added to a float64 below 2^31 leaves the nearest integer, ties to
// even, in the low 32 bits of the mantissa.
const roundingMagic = 3 << 51

// roundAndAdd adds round(grad·scale), clamped to ±limit, to sum. Elements that
// are not finite add nothing. largest is the largest absolute value rounded up, so
// it is 0 only if every element is 0: a tensor whose elements all round to 0 still
// shows that its exponent is too small.
//
// The scale is a power of two, so the product is exact: a compiler that fuses it
// with the addition of roundingMagic changes nothing.
func roundAndAdd(sum []int32, grad []float32, scale float64, limit int32) (largest, clamped int32, infinite bool) {
	grad = grad[:len(sum)]
	top, largestSeen := float64(limit), 0.0
	for len(sum) > 0 {
		n := min(block, len(sum))
		g, q := grad[:n], sum[:n]
		if size := float64(largestAbs(g)) * scale; size <= top {
			roundAndAddFitting(q, g, scale)
			largestSeen = max(largestSeen, size)
		} else {
			size, c, inf := roundAndAddClamped(q, g, scale, top)
			largestSeen, clamped, infinite = max(largestSeen, size), clamped+c, infinite || inf
		}
		grad, sum = grad[n:], sum[n:]
	}
	return int32(math.Ceil(largestSeen)), clamped, infinite
}

// largestAbs returns the largest absolute value; an infinity or a NaN if there is one:
// without the sign, floats ascend as their bits do.
func largestAbs(grad []float32) float32 {
	var largest uint32
	for _, g := range grad {
		largest = max(largest, math.Float32bits(g)&0x7fffffff)
	}
	return math.Float32frombits(largest)
}

// roundAndAddFitting adds elements that all fit.
func roundAndAddFitting(sum []int32, grad []float32, scale float64) {
	sum = sum[:len(grad)]
	for i, g := range grad {
		sum[i] += int32(math.Float64bits(float64(g)*scale + roundingMagic))
	}
}

// roundAndAddClamped adds elements of which some do not fit or are not finite, and
// returns the largest absolute value after clamping.
func roundAndAddClamped(sum []int32, grad []float32, scale, top float64) (largestSeen float64, clamped int32, infinite bool) {
	sum = sum[:len(grad)]
	for i, g := range grad {
		if math.Float32bits(g)&0x7f800000 == 0x7f800000 {
			infinite = true
			continue
		}
		v := float64(g) * scale
		if math.Abs(v) > top {
			v, clamped = math.Copysign(top, v), clamped+1
		}
		largestSeen = max(largestSeen, math.Abs(v))
		sum[i] += int32(math.Float64bits(v + roundingMagic))
	}
	return largestSeen, clamped, infinite
}
