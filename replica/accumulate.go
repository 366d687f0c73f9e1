package replica

import (
	"fmt"
	"math"
	"sort"
)

// Accumulator is one worker's own part of the entry of the next step: the sum
// of the micro-batches that it computed. A reduction reads it and never writes
// it, so that it survives a reduction that was broken off.
type Accumulator struct {
	rule      Rule
	cores     int
	chunks    []chunk
	exponents []int32
	entry     []int32
	done      map[int]bool
}

// NewAccumulator returns an empty sum. cores bounds the goroutines that Add uses.
func NewAccumulator(r Rule, cores int) *Accumulator {
	return &Accumulator{
		rule: r, cores: cores, chunks: chunksOf(r.Layout),
		entry: make([]int32, r.EntryLen()), done: map[int]bool{},
	}
}

// Reset empties the sum for the step after s.
func (a *Accumulator) Reset(s *State) {
	clear(a.entry)
	clear(a.done)
	a.exponents = append(a.exponents[:0], s.Exponents...)
}

// Done returns the micro-batches in the sum, ascending.
func (a *Accumulator) Done() []int {
	list := make([]int, 0, len(a.done))
	for i := range a.done {
		list = append(list, i)
	}
	sort.Ints(list)
	return list
}

// Has reports whether a micro-batch is in the sum.
func (a *Accumulator) Has(index int) bool { return a.done[index] }

// Vote sets what this worker asks of the run. Only what was last set counts.
func (a *Accumulator) Vote(v Votes) {
	c := a.rule.counters(a.entry)
	set := func(word int, on bool) {
		if on {
			c.set(word, 1)
		} else {
			c.set(word, 0)
		}
	}
	set(wordStop, v.Stop)
	set(wordHold, v.Hold)
	set(wordSave, v.Save)
	p, given := pieces(v.Digest)
	set(wordDigests, given)
	for i, piece := range p {
		c.set(wordDigest+i, piece)
	}
}

// Entry returns the words of the sum, to be read only.
func (a *Accumulator) Entry() []int32 { return a.entry }

// Add adds one micro-batch: its gradient over the flat buffer and its measures.
// A micro-batch that is in the sum already is refused.
func (a *Accumulator) Add(index int, grad []float32, m Measured) error {
	if index < 0 || index >= a.rule.MicroBatches {
		return fmt.Errorf("add micro-batch %d: a step has %d", index, a.rule.MicroBatches)
	}
	if a.done[index] {
		return fmt.Errorf("add micro-batch %d: already in the sum", index)
	}
	if len(grad) != a.rule.Layout.Total {
		return fmt.Errorf("add micro-batch %d: gradient of %d elements, the layout has %d", index, len(grad), a.rule.Layout.Total)
	}
	infinite := math.IsNaN(m.MLMLoss+m.NSPLoss) || math.IsInf(m.MLMLoss+m.NSPLoss, 0)
	if a.rule.Reduce == Float {
		infinite = a.addFloat(grad) || infinite
	} else {
		infinite = a.addFixed(grad) || infinite
	}
	c := a.rule.counters(a.entry)
	if infinite {
		c.add(wordNonFinite, 1)
	}
	c.add(wordCount, 1)
	c.add(wordSquares, int64(index+1)*int64(index+1))
	c.addLoss(wordMLMLoss, wordMLMLarge, m.MLMLoss)
	c.addLoss(wordNSPLoss, wordNSPLarge, m.NSPLoss)
	c.add(wordMLMCorrect, int64(m.MLMCorrect))
	c.add(wordMLMCount, int64(m.MLMCount))
	c.add(wordNSPCorrect, int64(m.NSPCorrect))
	c.add(wordNSPCount, int64(m.NSPCount))
	c.add(wordTokens, int64(m.Tokens))
	a.done[index] = true
	return nil
}

// addFixed rounds the gradient to integers and adds them; it reports whether
// any element was not finite.
func (a *Accumulator) addFixed(grad []float32) bool {
	type found struct {
		largest, clamped int32
		infinite         bool
	}
	limit := bound(a.rule.MicroBatches)
	results := make([]found, len(a.chunks))
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		scale := math.Ldexp(1, int(a.exponents[c.tensor]))
		f := &results[i]
		f.largest, f.clamped, f.infinite = addFixed(a.entry[c.from:c.to], grad[c.from:c.to], scale, limit)
	})
	infinite := false
	tensors := make([]found, len(a.rule.Layout.Tensors))
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

// magic added to a float64 below 2^31 leaves the nearest integer, ties to
// even, in the low 32 bits of the mantissa.
const magic = 3 << 51

// addFixed adds round(grad·scale), clamped to ±limit, to sum. Elements that are
// not finite add nothing. largest is the largest absolute value rounded up, so
// that it is 0 only if every element is: a tensor all of whose elements round
// to 0 still tells that its exponent is too small.
//
// The scale is a power of two and so the product is exact: a compiler that
// fuses it with the addition of magic changes nothing.
func addFixed(sum []int32, grad []float32, scale float64, limit int32) (largest, clamped int32, infinite bool) {
	grad = grad[:len(sum)]
	top, most := float64(limit), 0.0
	for len(sum) > 0 {
		n := min(block, len(sum))
		g, q := grad[:n], sum[:n]
		if size := float64(largestOf(g)) * scale; size <= top {
			addRounded(q, g, scale)
			most = max(most, size)
		} else {
			size, c, inf := addClamped(q, g, scale, top)
			most, clamped, infinite = max(most, size), clamped+c, infinite || inf
		}
		grad, sum = grad[n:], sum[n:]
	}
	return int32(math.Ceil(most)), clamped, infinite
}

// largestOf returns the largest absolute value, as an infinity or a NaN if one is
// among them: without the sign, floats ascend as their bits do.
func largestOf(grad []float32) float32 {
	var largest uint32
	for _, g := range grad {
		largest = max(largest, math.Float32bits(g)&0x7fffffff)
	}
	return math.Float32frombits(largest)
}

// addRounded adds elements that all fit.
func addRounded(sum []int32, grad []float32, scale float64) {
	sum = sum[:len(grad)]
	for i, g := range grad {
		sum[i] += int32(math.Float64bits(float64(g)*scale + magic))
	}
}

// addClamped adds elements of which some do not fit or are not finite, and returns
// the largest absolute value after that.
func addClamped(sum []int32, grad []float32, scale, top float64) (most float64, clamped int32, infinite bool) {
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
		most = max(most, math.Abs(v))
		sum[i] += int32(math.Float64bits(v + magic))
	}
	return most, clamped, infinite
}

// addFloat adds the gradient as it is.
func (a *Accumulator) addFloat(grad []float32) bool {
	infinite := make([]bool, len(a.chunks))
	forEach(len(a.chunks), a.cores, func(i int) {
		c := a.chunks[i]
		sum, g := a.entry[c.from:c.to], grad[c.from:c.to]
		for k := range sum {
			infinite[i] = infinite[i] || math.Float32bits(g[k])&0x7f800000 == 0x7f800000
			sum[k] = int32(math.Float32bits(math.Float32frombits(uint32(sum[k])) + g[k]))
		}
	})
	for _, is := range infinite {
		if is {
			return true
		}
	}
	return false
}
