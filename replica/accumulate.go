package replica

import (
	"fmt"
	"math"

	"github.com/gramme-project/gramme/internal/vector"
)

// Accumulator is one worker's own part of the entry of the next step: the sum
// of the micro-batches that it computed. A reduction reads it and never writes
// it, so it survives a reduction that was aborted.
type Accumulator struct {
	rule      Rule
	cores     int
	chunks    []chunk
	exponents []int32
	step      uint64 // of the sum
	entry     []int32
	empty     bool // the gradient in entry is of another step: the first to come replaces it
	summed    map[int]bool
	results   []vector.Rounded // of the chunks, in Add
	device    Device           // holds the gradient and the sum, or nil
}

// NewAccumulator returns an empty sum. cores bounds the goroutines that Add uses.
func NewAccumulator(r Rule, cores int) *Accumulator {
	return newAccumulator(r, cores, make([]int32, r.EntryLen()))
}

func newAccumulator(r Rule, cores int, entry []int32) *Accumulator {
	chunks := chunksOf(r.Layout)
	return &Accumulator{
		rule: r, cores: cores, chunks: chunks,
		entry: entry, summed: map[int]bool{}, results: make([]vector.Rounded, len(chunks)),
	}
}

// Reset empties the sum for the step after s.
func (a *Accumulator) Reset(s *State) {
	a.empty = true
	clear(a.entry[a.rule.gradientWords():])
	clear(a.summed)
	a.step = s.Step + 1
	a.exponents = append(a.exponents[:0], s.Exponents...)
}

// Vote sets what this worker asks of the run. The last call counts.
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
	set(wordPause, v.Pause)
	set(wordSave, v.Save)
	p, given := digestPiecesOf(v.Digest)
	set(wordDigests, given)
	for i, piece := range p {
		c.set(wordDigest+i, piece)
	}
}

// Entry returns the words of the sum, to be read only; where a device sums, those of the
// gradient are as Gather left them.
func (a *Accumulator) Entry() []int32 {
	if a.empty && a.device == nil {
		clear(a.entry[:a.rule.gradientWords()])
		a.empty = false
	}
	return a.entry
}

// Add adds one micro-batch: its gradient over the flat buffer, nil if a device holds it, and
// its measures.
// A micro-batch that is already in the sum is an error.
func (a *Accumulator) Add(index int, grad []float32, m Measured) error {
	if index < 0 || index >= a.rule.MicroBatches {
		return fmt.Errorf("add micro-batch %d: a step has %d", index, a.rule.MicroBatches)
	}
	if a.summed[index] {
		return fmt.Errorf("add micro-batch %d: already in the sum", index)
	}
	if a.device == nil && len(grad) != a.rule.Layout.Total {
		return fmt.Errorf("add micro-batch %d: gradient of %d elements, the layout has %d", index, len(grad), a.rule.Layout.Total)
	}
	infinite := math.IsNaN(m.MLMLoss+m.NSPLoss) || math.IsInf(m.MLMLoss+m.NSPLoss, 0)
	switch {
	case a.device != nil:
		found, err := a.addOnDevice()
		if err != nil {
			return fmt.Errorf("add micro-batch %d on the device: %w", index, err)
		}
		infinite = found || infinite
	case a.rule.Reduce == Float:
		infinite = a.addFloatGradient(grad) || infinite
	default:
		infinite = a.addRoundedGradient(index, grad) || infinite
	}
	c := a.rule.counters(a.entry)
	if infinite {
		c.add(wordNonFinite, 1)
	}
	c.add(wordCount, 1)
	c.add(wordSquares, int64(index+1)*int64(index+1))
	c.addLoss(wordMLMLoss, wordMLMHigh, m.MLMLoss)
	c.addLoss(wordNSPLoss, wordNSPHigh, m.NSPLoss)
	c.add(wordMLMCorrect, int64(m.MLMCorrect))
	c.add(wordMLMCount, int64(m.MLMCount))
	c.add(wordNSPCorrect, int64(m.NSPCorrect))
	c.add(wordNSPCount, int64(m.NSPCount))
	c.add(wordTokens, int64(m.Tokens))
	a.summed[index] = true
	return nil
}
