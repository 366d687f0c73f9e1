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

func (l level) roundKernel(r Rounding, sum []int32, grad []float32, add bool) roundSeen {
	const finite, largest, clamped = 5, 6, 6 + 16 // results: a flag, and one word for each lane
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
	s := roundSeen{infinite: p[finite] == 0}
	for k := range 16 {
		s.largest = max(s.largest, p[largest+k])
		s.clamped += int32(p[clamped+k])
	}
	return s
}
