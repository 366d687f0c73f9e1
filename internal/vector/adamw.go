package vector

import "math"

// AdamW is one step of AdamW (arXiv 1711.05101) on every element, with the numbers that are
// the same for all of them. The gradient of an element is float32(word * Quantum), the
// product in float64, times Clip. Then, each operation rounded to float32:
//
//	m = Beta1·m + Rest1·g
//	v = Beta2·v + Rest2·g²
//	w = w - Rate·(m·Correct1 / (√(v·Correct2) + Epsilon) + Decay·w)
type AdamW struct {
	Quantum            float64
	Beta1, Beta2       float32
	Rest1, Rest2       float32 // 1 - beta
	Correct1, Correct2 float32 // of the bias
	Epsilon            float32
	Rate               float32
	Decay              float32
	Clip               float32
}

// numbers are those that kernels take.
func (a *AdamW) numbers() [10]float32 {
	return [10]float32{a.Beta1, a.Beta2, a.Rest1, a.Rest2, a.Correct1, a.Correct2, a.Epsilon, a.Rate, a.Decay, a.Clip}
}

// UpdateByInts changes weights and moments by words that are integers.
func (a *AdamW) UpdateByInts(w, m, v []float32, words []int32) { best.adamw(a, w, m, v, words, false) }

// UpdateByFloats changes weights and moments by words that are the bits of float32.
func (a *AdamW) UpdateByFloats(w, m, v []float32, words []int32) { best.adamw(a, w, m, v, words, true) }

// UpdateByShorts changes weights and moments by words that are integers of 16 bits.
func (a *AdamW) UpdateByShorts(w, m, v []float32, words []int16) {
	best.adamwByShorts(a, w, m, v, words)
}

func (l level) adamw(a *AdamW, w, m, v []float32, words []int32, floats bool) {
	if n := l.whole(len(w)); n > 0 {
		l.adamwKernel(a, w[:n], m[:n], v[:n], words[:n], floats)
		w, m, v, words = w[n:], m[n:], v[n:], words[n:]
	}
	m, v, words = m[:len(w)], v[:len(w)], words[:len(w)]
	for k := range w {
		word := float64(words[k])
		if floats {
			word = float64(float(words[k]))
		}
		a.update(&w[k], &m[k], &v[k], word)
	}
}

func (l level) adamwByShorts(a *AdamW, w, m, v []float32, words []int16) {
	if n := l.whole(len(w)); n > 0 {
		l.adamwShortsKernel(a, w[:n], m[:n], v[:n], words[:n])
		w, m, v, words = w[n:], m[n:], v[n:], words[n:]
	}
	m, v, words = m[:len(w)], v[:len(w)], words[:len(w)]
	for k := range w {
		a.update(&w[k], &m[k], &v[k], float64(words[k]))
	}
}

// update is the reference, for one element.
//
// A kernel takes the root of float32, which gives the bits of the root in float64 rounded
// to float32: rounding twice changes no root where the wider mantissa has at least twice
// the bits and two more (Figueroa, "When is double rounding innocuous?", 1995). The mean has no
// such shortcut: 1/Quantum need not be a power of two, so kernels multiply in float64, too.
func (a *AdamW) update(w, m, v *float32, word float64) {
	g := float32(float32(word*a.Quantum) * a.Clip)
	mk := float32(float32(a.Beta1**m) + float32(a.Rest1*g))
	vk := float32(float32(a.Beta2**v) + float32(a.Rest2*float32(g*g)))
	*m, *v = mk, vk
	root := float32(math.Sqrt(float64(float32(vk * a.Correct2))))
	u := float32(float32(mk*a.Correct1) / float32(root+a.Epsilon))
	u = float32(u + float32(a.Decay**w))
	*w = float32(*w - float32(a.Rate*u))
}
