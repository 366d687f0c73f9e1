//go:build !amd64

package vector

func detect() level { return portable }

// On these machines no level but portable exists, and nothing calls the methods below.

func (l level) addIntsKernel(dst, a, b []int32)   {}
func (l level) addFloatsKernel(dst, a, b []int32) {}

func (l level) squaresKernel(sum *[lanes]float64, words []int32, floats bool) {}

func (l level) squaresStreamsKernel(sum *[lanes]float64, words []int32, floats bool) {}

func (l level) adamwKernel(a *AdamW, w, m, v []float32, words []int32, floats bool) {}

func (l level) addShortsKernel(dst, a, b []int32) {}

func (l level) squaresShortsKernel(sum *[8]uint64, words []int16) {}

func (l level) adamwShortsKernel(a *AdamW, w, m, v []float32, words []int16) {}

func (l level) stochasticKernel(r StochasticRounding, sum []int16, grad []float32, first uint32, add bool) (s roundSeen) {
	return s
}

func (l level) roundKernel(r Rounding, sum []int32, grad []float32, add bool) (s roundSeen) { return s }
