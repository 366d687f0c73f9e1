// Package divergence tells from the losses of a run, and from the steps that were
// skipped, whether the training diverged.
//
// Its memory is a small value that belongs to the state of every replica and to its
// checkpoints. So all members of a run come to the same finding at the same step,
// whichever coordinator leads, and a resumed run remembers the steps before.
//
// It guarantees that the first steps of a run, a restart, single steps that are
// skipped and the noise of small batches are not taken for divergence: it takes many
// of the newest steps. It does not find a model that learns nothing, or worse than it
// could: only losses far above the first one.
package divergence

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/gramme-project/gramme/internal/number"
)

// Thresholds of divergence.
const (
	window     = 32 // newest steps that are looked at
	rowSkips   = 4  // skipped one after the other: a warning
	someSkips  = 8  // of the window: a warning
	mostSkips  = 20 // of the window: the training gets nowhere
	highWindow = 16 // newest steps whose loss is compared with that of the beginning
	mostHigh   = 12 // of those: a warning
)

// A loss is far above where the run began if it is above so many times the first one
// and a margin. Chance alone gives a model of a vocabulary its first loss; the first
// steps of a healthy run with a high learning rate may add one or two.
const (
	highFactor = 1.5
	highMargin = 1
)

// History is what a run remembers of its steps. The zero value remembers none.
type History struct {
	Steps     int          `json:"steps,omitempty"` // that it remembers, up to 32
	From      uint64       `json:"from,omitempty"`  // step whose loss is Start
	Start     number.Float `json:"start,omitempty"` // first loss that was finite
	Skipped   uint32       `json:"skipped,omitempty"`
	High      uint32       `json:"high,omitempty"`
	NotFinite uint32       `json:"not_finite,omitempty"` // of each of the newest 32 steps a bit, the newest the lowest
}

// Next is the course after one more step: its loss, of the weights before it, and
// whether a gradient that was not finite kept it from changing the weights.
func (c History) Next(step uint64, loss float64, skipped bool) History {
	c.Steps = min(c.Steps+1, window)
	finite := !math.IsNaN(loss) && !math.IsInf(loss, 0)
	if c.From == 0 && finite {
		c.From, c.Start = step, number.Float(loss)
	}
	push := func(bits *uint32, on bool) {
		*bits <<= 1
		if on {
			*bits |= 1
		}
	}
	push(&c.Skipped, skipped)
	push(&c.NotFinite, !finite)
	push(&c.High, c.From != 0 && finite && loss > c.bound())
	return c
}

// bound is the loss above which a step is far above where the run began.
func (c History) bound() float64 { return float64(highFactor*float64(c.Start)) + highMargin }

// Kind is the kind of a finding.
type Kind string

// The kinds of findings.
const (
	None    Kind = ""
	Skips   Kind = "skipped steps"  // gradients that are not finite
	Stuck   Kind = "most skipped"   // so many that the training gets nowhere
	FarLoss Kind = "loss far above" // than where the run began
)

// Finding is the conclusion from the course of a run.
type Finding struct {
	Kind Kind
	Text string // what happens, in a sentence without a full stop; empty if nothing does
}

// Finding looks at the newest steps.
func (c History) Finding() Finding {
	skipped := bits.OnesCount32(c.Skipped)
	row := bits.TrailingZeros32(^c.Skipped)
	high := bits.OnesCount32(c.High & (1<<highWindow - 1))
	switch {
	case skipped >= mostSkips:
		return Finding{Stuck, c.skips(skipped)}
	case high >= mostHigh:
		return Finding{FarLoss, fmt.Sprintf("the loss was above %.2f in %d of the newest %d steps, and %.2f in step %d",
			c.bound(), high, min(highWindow, c.Steps), float64(c.Start), c.From)}
	case skipped >= someSkips || row >= rowSkips:
		return Finding{Skips, c.skips(skipped)}
	}
	return Finding{}
}

func (c History) skips(n int) string {
	text := fmt.Sprintf("%d of the newest %d steps were skipped, because gradients were not finite", n, c.Steps)
	if lost := bits.OnesCount32(c.NotFinite); lost > 0 {
		text += fmt.Sprintf("; nor was the loss in %d of them", lost)
	}
	return text
}

// Policies for stopping a run.
const (
	StopSkipped = "skipped" // most of the newest steps were skipped
	StopLoss    = "loss"    // that, or a loss far above where the run began
	StopNever   = "never"
)

// Stops tells whether a run of this policy ends because of the finding. No policy is
// StopSkipped.
func (f Finding) Stops(policy string) bool {
	switch policy {
	case StopNever:
		return false
	case StopLoss:
		return f.Kind == Stuck || f.Kind == FarLoss
	}
	return f.Kind == Stuck
}

// Warning is a sentence for users: what happens, and what to do.
func (f Finding) Warning(learningRate float64) string {
	if f.Kind == None {
		return ""
	}
	return fmt.Sprintf("the training diverges: %s; begin another run with a lower learning rate (optimizer.lr is %g) or a longer warmup", f.Text, learningRate)
}
