package devicecheck

import (
	"math"
	"testing"

	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica"
)

func memory(r replica.Rule) *Memory {
	return NewMemory(r, make([]float32, r.Layout.Total), make([]float32, r.Layout.Total))
}

func TestADeviceByTheBookPasses(t *testing.T) {
	for seed := range uint64(60) {
		if err := Run(seed, func(r replica.Rule) (Device, error) { return memory(r), nil }); err != nil {
			t.Error(err)
		}
	}
}

// mistaken is a device that does one thing differently.
type mistaken struct {
	*Memory
	add     func(*replica.Rounded)
	sum     func(word int32, gradient float32, scale float64) int32 // of one more micro-batch
	squares func(lanes []float64)
	update  func(p *vector.AdamW, decays []float32)
	forgets bool // to take the state from the slices
}

func (d mistaken) Add(scales []float32, limit int32) (replica.Rounded, error) {
	before := append([]int32(nil), d.Memory.sum...)
	got, err := d.Memory.Add(scales, limit)
	if d.add != nil {
		d.add(&got)
	}
	if d.sum != nil {
		for k, t := range d.rule.Layout.Tensors {
			for i := t.Offset; i < t.Offset+t.Len; i++ {
				d.Memory.sum[i] = before[i] + d.sum(d.Memory.sum[i]-before[i], d.Gradient[i], float64(scales[k]))
			}
		}
	}
	return got, err
}

func (d mistaken) Squares(lanes []float64) error {
	err := d.Memory.Squares(lanes)
	if d.squares != nil {
		d.squares(lanes)
	}
	return err
}

func (d mistaken) Update(p vector.AdamW, quanta []float64, decays []float32) error {
	if d.update != nil {
		d.update(&p, decays)
	}
	return d.Memory.Update(p, quanta, decays)
}

func (d mistaken) Write(weights, moment1, moment2 []float32) error {
	if d.forgets {
		return nil
	}
	return d.Memory.Write(weights, moment1, moment2)
}

// Each of these would be overlooked by a comparison of usual numbers to a few digits.
func TestMistakesAreFound(t *testing.T) {
	for name, m := range map[string]mistaken{
		"ties away from zero": {sum: func(word int32, g float32, scale float64) int32 {
			if v := float64(g) * scale; math.Abs(v) < 1<<20 {
				return int32(math.Round(v))
			}
			return word
		}},
		"a clamped element is not counted": {add: func(r *replica.Rounded) { clear(r.Clamped) }},
		"a NaN is not reported":            {add: func(r *replica.Rounded) { r.Infinite = false }},
		"the largest element is rounded": {add: func(r *replica.Rounded) {
			for k, v := range r.Largest {
				r.Largest[k] = math.Float32frombits(math.Float32bits(v) &^ 0xfffff)
			}
		}},
		"the lanes are added in another order": {squares: func(lanes []float64) {
			for u := 0; u < len(lanes); u += vector.Lanes {
				lanes[u], lanes[u+1] = lanes[u]+lanes[u+1], 0
			}
		}},
		"everything decays": {update: func(_ *vector.AdamW, decays []float32) {
			for k := range decays {
				decays[k] = max(decays[k], 0.01)
			}
		}},
		"the last bit of a coefficient": {update: func(p *vector.AdamW, _ []float32) { p.Rest2 = math.Nextafter32(p.Rest2, 2) }},
		"the state is not taken over":   {forgets: true},
	} {
		found := false
		for seed := uint64(0); seed < 60 && !found; seed++ {
			found = Run(seed, func(r replica.Rule) (Device, error) {
				m.Memory = memory(r)
				return m, nil
			}) != nil
		}
		if !found {
			t.Errorf("%s: not found", name)
		}
	}
}
