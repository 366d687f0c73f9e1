package vector

import "math"

// The methods below call the kernel of a level that is not portable. Slices of one call
// have the same length, a multiple of step and not 0.

func (l level) addIntsKernel(dst, a, b []int32) {
	if l == avx512 {
		addIntsAVX512(&dst[0], &a[0], &b[0], len(dst))
	} else {
		addIntsAVX2(&dst[0], &a[0], &b[0], len(dst))
	}
}

func (l level) addFloatsKernel(dst, a, b []int32) {
	if l == avx512 {
		addFloatsAVX512(&dst[0], &a[0], &b[0], len(dst))
	} else {
		addFloatsAVX2(&dst[0], &a[0], &b[0], len(dst))
	}
}

func (l level) addShortsKernel(dst, a, b []int32) {
	if l == avx512 {
		addShortsAVX512(&dst[0], &a[0], &b[0], len(dst))
	} else {
		addShortsAVX2(&dst[0], &a[0], &b[0], len(dst))
	}
}

// squaresShortsKernel takes a multiple of twice the step.
func (l level) squaresShortsKernel(sum *[8]uint64, words []int16) {
	if l == avx512 {
		squaresShortsAVX512(sum, &words[0], len(words))
	} else {
		squaresShortsAVX2(sum, &words[0], len(words))
	}
}

// squaresKernel adds one block, or less.
func (l level) squaresKernel(sum *[lanes]float64, words []int32, floats bool) {
	switch {
	case l == avx512 && floats:
		squaresFloatsAVX512(sum, &words[0], len(words))
	case l == avx512:
		squaresIntsAVX512(sum, &words[0], len(words))
	case floats:
		squaresFloatsAVX2(sum, &words[0], len(words))
	default:
		squaresIntsAVX2(sum, &words[0], len(words))
	}
}

// squaresStreamsKernel takes as many blocks as the level has streams, one behind the other;
// sum is the first of the sums.
func (l level) squaresStreamsKernel(sum *[lanes]float64, words []int32, floats bool) {
	switch {
	case l == avx512 && floats:
		squaresFloatsStreamsAVX512(sum, &words[0], blockLen)
	case l == avx512:
		squaresIntsStreamsAVX512(sum, &words[0], blockLen)
	case floats:
		squaresFloatsStreamsAVX2(sum, &words[0], blockLen)
	default:
		squaresIntsStreamsAVX2(sum, &words[0], blockLen)
	}
}

func (l level) adamwKernel(a *AdamW, w, m, v []float32, words []int32, floats bool) {
	p := a.numbers()
	switch {
	case l == avx512 && floats:
		adamwFloatsAVX512(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	case l == avx512:
		adamwIntsAVX512(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	case floats:
		adamwFloatsAVX2(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	default:
		adamwIntsAVX2(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	}
}

func (l level) adamwShortsKernel(a *AdamW, w, m, v []float32, words []int16) {
	p := a.numbers()
	if l == avx512 {
		adamwShortsAVX512(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	} else {
		adamwShortsAVX2(&w[0], &m[0], &v[0], &words[0], len(w), a.Quantum, &p)
	}
}

// Results in the parameters of rounding: a flag, and one word for each lane.
const paramFinite, paramLargest, paramClamped = 5, 6, 6 + 16

func (l level) roundKernel(r Rounding, sum []int32, grad []float32, add bool) roundSeen {
	p := [38]uint32{
		math.Float32bits(float32(r.Scale)), math.Float32bits(largestFloat(r.Limit)), uint32(r.Limit), infinity, 1<<31 - 1,
	}
	switch {
	case l == avx512 && add:
		roundAndAddAVX512(&sum[0], &grad[0], len(sum), &p)
	case l == avx512:
		roundAVX512(&sum[0], &grad[0], len(sum), &p)
	case add:
		roundAndAddAVX2(&sum[0], &grad[0], len(sum), &p)
	default:
		roundAVX2(&sum[0], &grad[0], len(sum), &p)
	}
	return seenIn(p[:])
}

func (l level) stochasticKernel(r StochasticRounding, sum []int16, grad []float32, first uint32, add bool) roundSeen {
	const random, numbers, constants = 38, 41, 57
	limit := float32(r.Limit)
	p := [62]uint32{math.Float32bits(float32(r.Scale)), math.Float32bits(limit), uint32(r.Limit), infinity, 1<<31 - 1}
	p[random], p[random+1], p[random+2] = uint32(r.Key), uint32(r.Key>>32), first
	for k := range 16 {
		p[numbers+k] = uint32(k)
	}
	copy(p[constants:], []uint32{mixer0, mixer1, math.Float32bits(0.5), math.Float32bits(1 << 23), 1})
	switch {
	case l == avx512 && add:
		stochasticAndAddAVX512(&sum[0], &grad[0], len(sum), &p)
	case l == avx512:
		stochasticAVX512(&sum[0], &grad[0], len(sum), &p)
	case add:
		stochasticAndAddAVX2(&sum[0], &grad[0], len(sum), &p)
	default:
		stochasticAVX2(&sum[0], &grad[0], len(sum), &p)
	}
	return seenIn(p[:])
}

func seenIn(p []uint32) roundSeen {
	s := roundSeen{infinite: p[paramFinite] == 0}
	for k := range 16 {
		s.largest = max(s.largest, p[paramLargest+k])
		s.clamped += int32(p[paramClamped+k])
	}
	return s
}
