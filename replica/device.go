package replica

import (
	"fmt"
	"math"
	"sync"

	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica/model"
)

// Device holds the long vectors of one replica in memory of its own, such as that of a GPU:
// weights, moments, the gradient of the newest micro-batch, the sum of those of a step, and
// the entry of a step. It computes with them what Accumulator and Applier compute with slices,
// and must give the same bits. Calls do not overlap.
//
// Values of tensors are in the layout's order. Slices belong to the caller, and are not used
// after a call, but for those of Words.
type Device interface {
	// Words returns memory of the host for words that are copied to or from the device. It lasts
	// as long as the device.
	Words(n int) ([]int32, error)
	// Reset empties the sum.
	Reset() error
	// Add rounds gradient times scale to integers, ties to even, clamps them to ±limit and adds
	// them to the sum; elements that are not finite add nothing. The scales are powers of two.
	// With Reduce Float it adds the gradient as it is.
	Add(scales []float32, limit int32) (Rounded, error)
	// ReadSum copies the sum to the gradient's words of an entry.
	ReadSum(words []int32) error
	// LoadEntry takes the gradient's words of an entry.
	LoadEntry(words []int32) error
	// Squares adds the squares of the entry's words, as vector.SquaresOfInts does, by the units
	// of NormUnits: lane k of unit u is element u·vector.Lanes+k.
	Squares(lanes []float64) error
	// Update is vector.AdamW by the entry's words, with the quantum and decay of each tensor.
	Update(p vector.AdamW, quanta []float64, decays []float32) error
	// Read copies weights and moments to slices; Write copies them from there.
	Read(weights, moment1, moment2 []float32) error
	Write(weights, moment1, moment2 []float32) error
}

// Rounded is what a Device saw of a gradient.
type Rounded struct {
	Largest  []float32 // absolute value among the finite elements of each tensor, not scaled
	Clamped  []int64   // elements of each tensor
	Infinite bool      // some element was not finite
}

// Range is a part of the flat buffer.
type Range struct{ From, To int }

// NormUnits lists the blocks of which the norm adds the squares, each a part of one tensor.
func NormUnits(l model.Layout) []Range {
	var units []Range
	for _, c := range chunksOf(l) {
		for from := c.from; from < c.to; from += vector.BlockLen {
			units = append(units, Range{from, min(from+vector.BlockLen, c.to)})
		}
	}
	return units
}

// remote is the part of a state that is elsewhere. Readers of one state share it.
type remote struct {
	device Device

	mu            sync.Mutex
	ahead, behind bool // the device is newer than the slices, or older
}

// MoveTo lets a device hold the state's vectors from now on. The slices are a copy, which
// Refresh brings up to date; Apply changes the device's.
func (s *State) MoveTo(d Device) { s.remote = &remote{device: d, behind: true} }

// OnDevice reports whether a device holds the vectors.
func (s *State) OnDevice() bool { return s.remote != nil }

// Refresh makes Weights, Moment1 and Moment2 those of the state, for a state on a device.
// Several goroutines may call it while none changes the state.
func (s *State) Refresh() error {
	r := s.remote
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ahead {
		return nil
	}
	if err := r.device.Read(s.Weights, s.Moment1, s.Moment2); err != nil {
		return fmt.Errorf("read the state of step %d from the device: %w", s.Step, err)
	}
	r.ahead = false
	return nil
}

// Rewritten is called after a change of the slices: they are the state now.
func (s *State) Rewritten() {
	if r := s.remote; r != nil {
		r.ahead, r.behind = false, true
	}
}

// deviceToApply returns the device, which has the state, or nil.
func (s *State) deviceToApply() (Device, error) {
	r := s.remote
	if r == nil {
		return nil, nil
	}
	if r.behind {
		if err := r.device.Write(s.Weights, s.Moment1, s.Moment2); err != nil {
			return nil, fmt.Errorf("write the state of step %d to the device: %w", s.Step, err)
		}
		r.behind = false
	}
	return r.device, nil
}

// NewDeviceAccumulator returns an empty sum of the gradients that a device holds.
func NewDeviceAccumulator(r Rule, d Device) (*Accumulator, error) {
	entry, err := d.Words(r.EntryLen())
	if err != nil {
		return nil, err
	}
	a := newAccumulator(r, 1, entry)
	a.device = d
	return a, nil
}

// Gather brings the gradient's words of Entry up to date, for a sum on a device.
func (a *Accumulator) Gather() error {
	if a.device == nil {
		return nil
	}
	words := a.entry[:a.rule.Layout.Total]
	if a.empty {
		clear(words)
		return nil
	}
	if err := a.device.ReadSum(words); err != nil {
		return fmt.Errorf("read the sum from the device: %w", err)
	}
	return nil
}

// addOnDevice adds the gradient that the device holds.
func (a *Accumulator) addOnDevice() (infinite bool, err error) {
	if a.empty {
		if err := a.device.Reset(); err != nil {
			return false, err
		}
		a.empty = false
	}
	limit := a.rule.maxElement()
	scales := make([]float32, len(a.exponents))
	for k, e := range a.exponents {
		scales[k] = float32(math.Ldexp(1, int(e)))
	}
	got, err := a.device.Add(scales, limit)
	if err != nil || a.rule.Reduce == Float {
		return got.Infinite, err
	}
	c := a.rule.counters(a.entry)
	for k := range scales {
		size := min(float64(got.Largest[k])*float64(scales[k]), float64(limit))
		c.addRounded(k, got.Clamped[k], int64(math.Ceil(size)), limit)
	}
	return got.Infinite, nil
}

// normOnDevice is norm, of which the device adds the squares. It loads the entry.
func (a *Applier) normOnDevice(d Device, s *State, entry []int32) (float64, error) {
	if err := d.LoadEntry(entry[:a.rule.Layout.Total]); err != nil {
		return 0, err
	}
	if a.squares == nil {
		a.squares = make([]float64, vector.Lanes*len(NormUnits(a.rule.Layout)))
	}
	if err := d.Squares(a.squares); err != nil {
		return 0, err
	}
	left := a.squares
	for i, c := range a.chunks {
		sum := 0.0
		for from := c.from; from < c.to; from += vector.BlockLen {
			sum += vector.AddLanes([vector.Lanes]float64(left))
			left = left[vector.Lanes:]
		}
		a.norms[i] = a.scaledSquares(s, c, sum)
	}
	return a.totalNorm(), nil
}

// updateOnDevice is updateWeights by the entry that the device has loaded.
func (a *Applier) updateOnDevice(d Device, s *State, p vector.AdamW) error {
	n := len(a.rule.Layout.Tensors)
	quanta, decays := make([]float64, n), make([]float32, n)
	for k := range n {
		quanta[k], decays[k] = a.quantum(s, k), a.decay(k)
	}
	s.remote.ahead = true
	return d.Update(p, quanta, decays)
}
