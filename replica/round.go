package replica

import (
	"math"
	"slices"

	"github.com/gramme-project/gramme/internal/vector"
)

// How the gradient of a micro-batch comes into the sum.

// addRoundedGradient rounds the gradient to integers and adds them; it reports
// whether any element was not finite.
func (a *Accumulator) addRoundedGradient(grad []float32) bool {
	limit := maxElement(a.rule.MicroBatches)
	add := vector.Rounding.Add
	if a.empty { // saves clearing it and reading the zeros
		add = vector.Rounding.Round
	}
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		r := vector.Rounding{Scale: math.Ldexp(1, int(a.exponents[c.tensor])), Limit: limit}
		a.results[i] = add(r, a.entry[c.from:c.to], grad[c.from:c.to])
	})
	a.empty = false
	infinite := false
	c := a.rule.counters(a.entry)
	for i := 0; i < len(a.results); {
		k := a.chunks[i].tensor
		var t vector.Rounded
		for ; i < len(a.results) && a.chunks[i].tensor == k; i++ {
			t.Largest = max(t.Largest, a.results[i].Largest)
			t.Clamped += a.results[i].Clamped
			infinite = infinite || a.results[i].Infinite
		}
		c.addRounded(k, int64(t.Clamped), int64(t.Largest), limit)
	}
	return infinite
}

// addRounded adds what rounding saw in a tensor. The number of clamped elements is bounded
// like the elements, so that the sum over micro-batches fits.
func (x counters) addRounded(tensor int, clamped, largest int64, limit int32) {
	x.add(fixedWords+2*tensor, min(clamped, int64(limit)))
	x.add(fixedWords+2*tensor+1, largest)
}

// addFloatGradient adds the gradient unrounded; it reports whether any element was not
// finite.
func (a *Accumulator) addFloatGradient(grad []float32) bool {
	sum, words := a.Entry(), words(grad)
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		part := sum[c.from:c.to]
		vector.AddFloats(part, part, words[c.from:c.to])
		// The squares of finite float32 do not overflow a float64.
		squares := vector.SquaresOfFloats(words[c.from:c.to])
		a.results[i] = vector.Rounded{Infinite: math.IsInf(squares, 0) || math.IsNaN(squares)}
	})
	return slices.ContainsFunc(a.results, func(r vector.Rounded) bool { return r.Infinite })
}
