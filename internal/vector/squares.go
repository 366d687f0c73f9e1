package vector

const (
	// lanes is the number of partial sums of squares of a block, which break the chain of
	// dependent additions: else they would take longer than the memory.
	lanes = 16
	// blockLen is the number of words of a block. Kernels sum several blocks at once.
	blockLen = 4096
)

// SquaresOfInts returns the sum of the squares of words, in an order that is part of the
// arithmetic. Words are cut into blocks of 4096. The square of word k of a block is rounded
// to float64 and added to partial sum k mod 16; the partial sums are added in pairs: k and
// k+8, then k and k+4, k+2, k+1. The sums of the blocks are added from first to last.
func SquaresOfInts(words []int32) float64 { return best.squares(words, false) }

// SquaresOfFloats is SquaresOfInts for words that are the bits of float32.
func SquaresOfFloats(words []int32) float64 { return best.squares(words, true) }

func (l level) squares(words []int32, floats bool) float64 {
	total := 0.0
	if n := l.streams(); n > 1 {
		for ; len(words) >= n*blockLen; words = words[n*blockLen:] {
			var sums [mostStreams][lanes]float64
			l.squaresStreamsKernel(&sums[0], words[:n*blockLen], floats)
			for k := range n {
				total += pairs(&sums[k])
			}
		}
	}
	for len(words) > 0 {
		block := words[:min(blockLen, len(words))]
		words = words[len(block):]
		var sum [lanes]float64
		if n := l.whole(len(block)); n > 0 {
			l.squaresKernel(&sum, block[:n], floats)
			block = block[n:] // n is a multiple of the lanes: the next is added to the first
		}
		addSquares(&sum, block, floats)
		total += pairs(&sum)
	}
	return total
}

// mostStreams is the largest number of blocks that a kernel sums at once.
const mostStreams = 4

// streams is the number of blocks that the kernel of a level sums at once.
func (l level) streams() int { return [...]int{1, 2, 4}[l] }

// pairs adds up partial sums.
func pairs(sum *[lanes]float64) float64 {
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
