package replica

import (
	"fmt"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/replica/model"
)

// Reduce says how the gradients of micro-batches are summed.
type Reduce string

const (
	// Exact sums integers: the result does not depend on the workers.
	Exact Reduce = "exact"
	// Exact16 sums integers of 16 bits, half the bytes of Exact. The result does not
	// depend on the workers either. A micro-batch has so few bits that its elements are
	// rounded up or down by chance: rounding to the nearest would lose the small ones.
	Exact16 Reduce = "exact16"
	// Float sums float32: replicas stay equal to each other, but the result
	// depends on how many workers there are. It exists for comparison.
	Float Reduce = "f32"
)

// MaxMicroBatches bounds the micro-batches of a step: fixed point leaves each
// of them 31 bits minus the bits of their number.
const MaxMicroBatches = 1024

// MaxFloatMicroBatches bounds them in float mode: the check sum of an entry is
// a float32 there and stays below 2^24, where every integer has its own.
const MaxFloatMicroBatches = 256

// MaxShortMicroBatches bounds them in 16 bits: it leaves each of them 9 bits and a sign.
const MaxShortMicroBatches = 64

// Rule is everything that determines how a state changes. It is the same on
// all replicas of a run.
type Rule struct {
	Layout       model.Layout
	MicroBatches int    // of a step
	Steps        uint64 // of the run
	Reduce       Reduce
	Seed         uint64 // of the run; Exact16 rounds by it
	Optimizer    AdamW
}

// Validate reports everything that makes the rule unusable.
func (r Rule) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(r.Layout.Tensors) == 0 {
		bad("layout has no tensors")
	}
	most := MaxMicroBatches
	switch r.Reduce {
	case Float:
		most = MaxFloatMicroBatches
	case Exact16:
		most = MaxShortMicroBatches
	}
	if r.MicroBatches < 1 || r.MicroBatches > most {
		bad("micro-batches of a step: %d is not in 1..%d", r.MicroBatches, most)
	}
	if r.Steps == 0 {
		bad("steps: must be positive")
	}
	if r.Reduce != Exact && r.Reduce != Exact16 && r.Reduce != Float {
		bad("reduce %q: not exact, exact16 or f32", r.Reduce)
	}
	o := r.Optimizer
	if !(o.LearningRate > 0) {
		bad("learning rate %g: not positive", o.LearningRate)
	}
	if !(o.Beta1 >= 0 && o.Beta1 < 1) || !(o.Beta2 >= 0 && o.Beta2 < 1) {
		bad("betas %g, %g: not in [0, 1)", o.Beta1, o.Beta2)
	}
	if !(o.Epsilon > 0) || o.WeightDecay < 0 || o.Clip < 0 {
		bad("epsilon %g, weight decay %g, clip %g: must be positive, not negative, not negative", o.Epsilon, o.WeightDecay, o.Clip)
	}
	return failures.Of(errs...)
}
