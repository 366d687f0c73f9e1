package replica

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/gramme-project/gramme/internal/vector"
)

// Outcome is what an entry did.
type Outcome struct {
	Step                     uint64
	MLMLoss, NSPLoss         float64 // means over the step's micro-batches; not finite if one is not
	MLMAccuracy, NSPAccuracy float64
	Tokens                   uint64
	LearningRate             float64
	Norm                     float64 // of the gradient before clipping
	Clamped                  int64
	Skipped                  bool // the entry held a NaN or an infinity: weights and moments did not change
	Stop, Pause, Save        bool // some worker voted so
}

// Applier applies entries to states of one rule. It keeps scratch memory and
// is used by one goroutine at a time.
type Applier struct {
	rule   Rule
	cores  int
	chunks []chunk
	norms  []float64
	// squares are what a device gave of the norm: the lanes of each unit.
	squares []float64
}

// NewApplier returns an Applier that uses up to `cores` goroutines. Their
// number does not change the result.
func NewApplier(r Rule, cores int) (*Applier, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("apply rule: %w", err)
	}
	cs := chunksOf(r.Layout)
	return &Applier{rule: r, cores: cores, chunks: cs, norms: make([]float64, len(cs))}, nil
}

// Apply changes s from step s.Step to s.Step+1 by the complete entry of that
// step. On an error s is unchanged, unless a device failed.
func (a *Applier) Apply(s *State, entry []int32) (Outcome, error) {
	r := a.rule
	step := s.Step + 1
	if len(entry) != r.EntryLen() {
		return Outcome{}, fmt.Errorf("apply step %d: entry of %d words, not %d", step, len(entry), r.EntryLen())
	}
	if step > r.Steps {
		return Outcome{}, fmt.Errorf("apply step %d: the run ends with step %d", step, r.Steps)
	}
	if err := r.checkComplete(entry); err != nil {
		return Outcome{}, fmt.Errorf("apply step %d: %w", step, err)
	}
	d, err := s.deviceToApply()
	if err != nil {
		return Outcome{}, fmt.Errorf("apply step %d: %w", step, err)
	}
	o := a.outcome(step, entry)
	if !o.Skipped {
		if d == nil {
			o.Norm = a.norm(s, entry)
		} else if o.Norm, err = a.normOnDevice(d, s, entry); err != nil {
			return Outcome{}, fmt.Errorf("apply step %d: norm on the device: %w", step, err)
		}
		// Finite gradients can still overflow the norm in float mode.
		o.Skipped = math.IsNaN(o.Norm) || math.IsInf(o.Norm, 0)
	}
	if !o.Skipped {
		s.Updates++
		if p := a.update(s, o); d == nil {
			a.updateWeights(s, entry, p)
		} else if err := a.updateOnDevice(d, s, p); err != nil {
			return Outcome{}, fmt.Errorf("apply step %d: update on the device: %w", step, err)
		}
		if r.Reduce != Float {
			a.adjustExponents(s, entry)
		}
	}
	s.Step = step
	s.Clamped += uint64(o.Clamped)
	s.Samples += uint64(r.counters(entry).get(wordNSPCount))
	s.Tokens += o.Tokens
	s.recordLosses(o)
	return o, nil
}

func (a *Applier) outcome(step uint64, entry []int32) Outcome {
	c := a.rule.counters(entry)
	m := float64(a.rule.MicroBatches)
	share := func(part, whole int) float64 {
		return float64(c.get(part)) / float64(max(c.get(whole), 1))
	}
	o := Outcome{
		Step:         step,
		MLMLoss:      c.loss(wordMLMLoss, wordMLMHigh) / m,
		NSPLoss:      c.loss(wordNSPLoss, wordNSPHigh) / m,
		MLMAccuracy:  share(wordMLMCorrect, wordMLMCount),
		NSPAccuracy:  share(wordNSPCorrect, wordNSPCount),
		Tokens:       uint64(c.get(wordTokens)),
		LearningRate: a.rule.Optimizer.Rate(step, a.rule.Steps),
		Skipped:      c.get(wordNonFinite) > 0,
		Stop:         c.get(wordStop) > 0,
		Pause:        c.get(wordPause) > 0,
		Save:         c.get(wordSave) > 0,
	}
	for k := range a.rule.Layout.Tensors {
		o.Clamped += c.get(fixedWords + 2*k)
	}
	return o
}

// quantum returns the value of one integer of a tensor's sum in the mean gradient
// of the step.
func (a *Applier) quantum(s *State, tensor int) float64 {
	if a.rule.Reduce == Float {
		return 1 / float64(a.rule.MicroBatches)
	}
	return math.Ldexp(1, -int(s.Exponents[tensor])) / float64(a.rule.MicroBatches)
}

// norm returns the Euclidean norm of the mean gradient. The squares of the words are
// summed in float64 within each chunk, then over the chunks, in their order.
func (a *Applier) norm(s *State, entry []int32) float64 {
	forEach(len(a.chunks), a.cores, func(i int) {
		c, squares := a.chunks[i], 0.0
		switch a.rule.Reduce {
		case Float:
			squares = vector.SquaresOfFloats(entry[c.from:c.to])
		case Exact16:
			squares = vector.SquaresOfShorts(shorts(entry)[c.from:c.to])
		default:
			squares = vector.SquaresOfInts(entry[c.from:c.to])
		}
		a.norms[i] = a.scaledSquares(s, c, squares)
	})
	return a.totalNorm()
}

// scaledSquares turns the sum of the squares of a chunk's words into that of its mean
// gradients.
func (a *Applier) scaledSquares(s *State, c chunk, sum float64) float64 {
	quantum := a.quantum(s, c.tensor)
	return float64(sum * float64(quantum*quantum))
}

func (a *Applier) totalNorm() float64 {
	total := 0.0
	for _, q := range a.norms {
		total += q
	}
	return math.Sqrt(total)
}

// adjustExponents chooses each tensor's exponent for the next step: the mean over
// micro-batches of the largest absolute value shall lie headroom bits below
// maxElement. It makes room at once and gains precision by one bit per step.
func (a *Applier) adjustExponents(s *State, entry []int32) {
	c := a.rule.counters(entry)
	target := bits.Len32(uint32(a.rule.maxElement())) - a.rule.headroom()
	for k := range s.Exponents {
		clamped := c.get(fixedWords + 2*k)
		largest := bits.Len64(uint64(c.get(fixedWords+2*k+1) / int64(a.rule.MicroBatches)))
		change := int32(target - largest)
		switch {
		case clamped > 0:
			change = min(change, 0) - 2
		case c.get(fixedWords+2*k+1) == 0:
			change = 0 // no gradient at all: nothing to learn from it
		case s.Updates > 1:
			change = min(change, 1)
		}
		s.Exponents[k] = min(max(s.Exponents[k]+change, minExponent), maxExponent)
	}
}
