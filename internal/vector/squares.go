package vector

// lanes is the number of partial sums of squares; it is part of the arithmetic. Sixteen
// break the chain of dependent additions, which else would take longer than the memory.
const lanes = 16

// SquaresOfInts returns the sum of the squares of words. The square of word k is rounded to
// float64 and added to partial sum k mod 16; the partial sums are added in pairs: k and
// k+8, then k and k+4, k+2, k+1.
func SquaresOfInts(words []int32) float64 { return best.squares(words, false) }

// SquaresOfFloats is SquaresOfInts for words that are the bits of float32.
func SquaresOfFloats(words []int32) float64 { return best.squares(words, true) }

func (l level) squares(words []int32, floats bool) float64 {
	var sum [lanes]float64
	if n := l.whole(len(words)); n > 0 {
		l.squaresKernel(&sum, words[:n], floats)
		words = words[n:] // n is a multiple of the lanes: the next is added to the first
	}
	addSquares(&sum, words, floats)
	for half := lanes / 2; half > 0; half /= 2 {
		for k := range half {
			sum[k] += sum[k+half]
		}
	}
	return sum[0]
}

func addSquares(sum *[lanes]float64, words []int32, floats bool) {
	for k, w := range words {
		x := float64(w)
		if floats {
			x = float64(float(w))
		}
		sum[k%lanes] += float64(x * x)
	}
}
