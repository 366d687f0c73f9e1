package replica

import (
	"math"
	"slices"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/internal/vector"
)

// How the gradient of a micro-batch comes into the sum.

// addRoundedGradient rounds the gradient to integers and adds them; it reports
// whether any element was not finite.
func (a *Accumulator) addRoundedGradient(index int, grad []float32) bool {
	limit := a.rule.maxElement()
	key := rng.Mix(rng.DomainRounding, a.rule.Seed, a.step, uint64(index))
	// The first replaces what is there: that saves clearing it and reading the zeros.
	round, byChance := vector.Rounding.Add, vector.StochasticRounding.Add
	if a.empty {
		round, byChance = vector.Rounding.Round, vector.StochasticRounding.Round
	}
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		scale := math.Ldexp(1, int(a.exponents[c.tensor]))
		if a.rule.Reduce == Exact16 {
			r := vector.StochasticRounding{Scale: scale, Limit: int16(limit), Key: key}
			a.results[i] = byChance(r, shorts(a.entry)[c.from:c.to], grad[c.from:c.to], uint32(c.from))
		} else {
			r := vector.Rounding{Scale: scale, Limit: limit}
			a.results[i] = round(r, a.entry[c.from:c.to], grad[c.from:c.to])
		}
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
	x.add(fixedWords+2*tensor, min(clamped, x.most(limit)))
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
