package vector

import "math"

// AddInts sets dst[i] = a[i] + b[i] in two's complement. dst may be a or b.
func AddInts(dst, a, b []int32) { best.addInts(dst, a, b) }

// AddFloats sets dst[i] = a[i] + b[i] of words that are the bits of float32. dst may be a
// or b.
func AddFloats(dst, a, b []int32) { best.addFloats(dst, a, b) }

func (l level) addInts(dst, a, b []int32) {
	if n := l.whole(len(dst)); n > 0 {
		l.addIntsKernel(dst[:n], a[:n], b[:n])
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	addInts(dst, a, b)
}

func (l level) addFloats(dst, a, b []int32) {
	if n := l.whole(len(dst)); n > 0 {
		l.addFloatsKernel(dst[:n], a[:n], b[:n])
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	addFloats(dst, a, b)
}

func addInts(dst, a, b []int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func addFloats(dst, a, b []int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = int32(math.Float32bits(float(a[i]) + float(b[i])))
	}
}

// float is the float32 of a word.
func float(word int32) float32 { return math.Float32frombits(uint32(word)) }
