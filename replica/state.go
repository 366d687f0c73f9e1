package replica

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/number"
)

// Bounds of a tensor's exponent: 2^-exponent stays a normal float32.
const (
	minExponent = -30
	maxExponent = 96
)

// headroom is how many bits lie between the largest element expected in a
// micro-batch and maxElement, at which it would be clamped. Of 16 bits fewer are left.
func (r Rule) headroom() int {
	if r.Reduce == Exact16 {
		return 2
	}
	return 3
}

// State is one replica. Weights, Moment1 and Moment2 have Layout.Total
// elements each; Weights may be memory that the caller shares with libtorch. Where a device
// holds the vectors (MoveTo), the slices are those of the newest Refresh.
type State struct {
	Meta
	Weights, Moment1, Moment2 []float32

	remote *remote // nil: the slices are all there is
}

// Meta is the part of a state that is small.
type Meta struct {
	Step      uint64  `json:"step"`      // newest applied entry; 0 before the first
	Updates   uint64  `json:"updates"`   // entries that changed the weights: Step minus skipped steps
	Clamped   uint64  `json:"clamped"`   // elements clamped so far
	Samples   uint64  `json:"samples"`   // samples whose gradients are in the weights or were skipped
	Tokens    uint64  `json:"tokens"`    // likewise, padding not counted
	Exponents []int32 `json:"exponents"` // of each tensor in the layout's order: value = integer · 2^-exponent
	Losses    Losses  `json:"losses,omitzero"`
	// History shows whether the training diverges.
	History divergence.History `json:"course,omitzero"`
}

// Skipped returns how many steps changed nothing because a gradient was not finite.
func (m Meta) Skipped() uint64 { return m.Step - m.Updates }

// Losses are sums over steps, from which the mean over the steps between any two states
// follows. Steps whose loss was not finite are excluded.
type Losses struct {
	Steps uint64       `json:"steps"` // in the sums
	MLM   number.Float `json:"mlm"`
	NSP   number.Float `json:"nsp"`
}

// Mean returns the mean losses of the steps since an earlier state, and the number of
// those steps.
func (l Losses) Mean(since Losses) (mlm, nsp float64, steps uint64) {
	if steps = l.Steps - since.Steps; steps == 0 {
		return 0, 0, 0
	}
	n := float64(steps)
	return float64(l.MLM-since.MLM) / n, float64(l.NSP-since.NSP) / n, steps
}

// recordLosses adds the losses of a step.
func (m *Meta) recordLosses(o Outcome) {
	m.History = m.History.Next(o.Step, o.MLMLoss+o.NSPLoss, o.Skipped)
	if mlm, nsp := number.Float(o.MLMLoss), number.Float(o.NSPLoss); mlm.Finite() && nsp.Finite() {
		m.Losses.Steps++
		m.Losses.MLM += mlm
		m.Losses.NSP += nsp
	}
}

// NewState returns the state before the first step. It keeps weights without a copy.
func NewState(r Rule, weights []float32) (*State, error) {
	if len(weights) != r.Layout.Total {
		return nil, fmt.Errorf("new state: %d weights, the layout has %d", len(weights), r.Layout.Total)
	}
	s := &State{
		Weights: weights,
		Moment1: make([]float32, r.Layout.Total),
		Moment2: make([]float32, r.Layout.Total),
		Meta:    Meta{Exponents: make([]int32, len(r.Layout.Tensors))},
	}
	// Nothing is known about the gradients yet: let 4 be the largest that fits.
	// The first entry adjusts it.
	for k := range s.Exponents {
		s.Exponents[k] = int32(math.Ilogb(float64(r.maxElement()))) - 2
	}
	return s, nil
}

// Clone returns a copy that shares nothing with s, not even a device: a state on one is
// refreshed before.
func (s *State) Clone() *State {
	c := &State{Meta: s.Meta, Weights: slices.Clone(s.Weights), Moment1: slices.Clone(s.Moment1), Moment2: slices.Clone(s.Moment2)}
	c.Exponents = slices.Clone(s.Exponents)
	return c
}

// maxElement is the largest absolute value of an element of one micro-batch in fixed
// point: the sum of all micro-batches fits an int32, or an int16.
func (r Rule) maxElement() int32 {
	if r.Reduce == Exact16 {
		return int32(math.MaxInt16 / r.MicroBatches)
	}
	return int32(math.MaxInt32 / r.MicroBatches)
}

// EncodeMeta encodes the small part of the state: equal states give the same bytes.
func (s *State) EncodeMeta() ([]byte, error) {
	b, err := json.Marshal(s.Meta)
	if err != nil {
		return nil, fmt.Errorf("encode replica state: %w", err)
	}
	return b, nil
}

// DecodeMeta reads what EncodeMeta wrote and checks it against the rule.
func DecodeMeta(r Rule, b []byte) (Meta, error) {
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return Meta{}, fmt.Errorf("decode replica state: %w", err)
	}
	if len(m.Exponents) != len(r.Layout.Tensors) {
		return Meta{}, fmt.Errorf("decode replica state: %d exponents for %d tensors", len(m.Exponents), len(r.Layout.Tensors))
	}
	if m.Updates > m.Step || m.Step > r.Steps {
		return Meta{}, fmt.Errorf("decode replica state: %d updates, step %d of %d", m.Updates, m.Step, r.Steps)
	}
	if i := slices.IndexFunc(m.Exponents, func(e int32) bool { return e < minExponent || e > maxExponent }); i >= 0 {
		return Meta{}, fmt.Errorf("decode replica state: exponent %d of tensor %s out of range", m.Exponents[i], r.Layout.Tensors[i].Name)
	}
	return m, nil
}
