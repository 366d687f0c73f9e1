package devicecheck

import (
	"math"

	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica"
)

// Memory is a Device of slices that are apart from those of a state: for tests of what works
// with a device. It computes by the book, one element after the other.
type Memory struct {
	Gradient, Weights []float32 // of the trainer
	rule              replica.Rule
	units             []replica.Range
	moment1, moment2  []float32
	sum, entry        []int32
}

// NewMemory returns a device that updates weights by gradients.
func NewMemory(r replica.Rule, weights, gradient []float32) *Memory {
	n := r.Layout.Total
	return &Memory{
		Gradient: gradient, Weights: weights, rule: r, units: replica.NormUnits(r.Layout),
		moment1: make([]float32, n), moment2: make([]float32, n), sum: make([]int32, n), entry: make([]int32, n),
	}
}

// SetGradient replaces the gradient.
func (d *Memory) SetGradient(g []float32) error {
	copy(d.Gradient, g)
	return nil
}

// Words returns words of the host.
func (*Memory) Words(n int) ([]int32, error) { return make([]int32, n), nil }

// Reset empties the sum.
func (d *Memory) Reset() error {
	clear(d.sum)
	return nil
}

// Add adds the gradient to the sum.
func (d *Memory) Add(scales []float32, limit int32) (replica.Rounded, error) {
	got := replica.Rounded{Largest: make([]float32, len(scales)), Clamped: make([]int64, len(scales))}
	for k, t := range d.rule.Layout.Tensors {
		for i := t.Offset; i < t.Offset+t.Len; i++ {
			g := float64(d.Gradient[i])
			finite := !math.IsNaN(g) && !math.IsInf(g, 0)
			got.Infinite = got.Infinite || !finite
			if d.rule.Reduce == replica.Float {
				d.sum[i] = int32(math.Float32bits(d.value(d.sum[i]) + d.Gradient[i]))
				continue
			}
			if !finite {
				continue
			}
			got.Largest[k] = max(got.Largest[k], float32(math.Abs(g)))
			v := g * float64(scales[k])
			if math.Abs(v) > float64(limit) {
				v = math.Copysign(float64(limit), v)
				got.Clamped[k]++
			}
			d.sum[i] += int32(math.RoundToEven(v))
		}
	}
	return got, nil
}

// ReadSum copies the sum.
func (d *Memory) ReadSum(words []int32) error {
	copy(words, d.sum)
	return nil
}

// LoadEntry takes an entry.
func (d *Memory) LoadEntry(words []int32) error {
	copy(d.entry, words)
	return nil
}

// value is a word that is the bits of a float.
func (*Memory) value(word int32) float32 { return math.Float32frombits(uint32(word)) }

// number is what a word stands for.
func (d *Memory) number(word int32) float64 {
	if d.rule.Reduce == replica.Float {
		return float64(d.value(word))
	}
	return float64(word)
}

// Squares adds the squares of the entry's words.
func (d *Memory) Squares(lanes []float64) error {
	clear(lanes)
	for u, r := range d.units {
		for i := r.From; i < r.To; i++ {
			x := d.number(d.entry[i])
			lanes[u*vector.Lanes+(i-r.From)%vector.Lanes] += float64(x * x)
		}
	}
	return nil
}

// Update changes weights and moments by the entry.
func (d *Memory) Update(p vector.AdamW, quanta []float64, decays []float32) error {
	for k, t := range d.rule.Layout.Tensors {
		for i := t.Offset; i < t.Offset+t.Len; i++ {
			g := float32(float32(d.number(d.entry[i])*quanta[k]) * p.Clip)
			m := float32(float32(p.Beta1*d.moment1[i]) + float32(p.Rest1*g))
			v := float32(float32(p.Beta2*d.moment2[i]) + float32(p.Rest2*float32(g*g)))
			root := float32(math.Sqrt(float64(float32(v * p.Correct2))))
			u := float32(float32(m*p.Correct1)/float32(root+p.Epsilon)) + float32(decays[k]*d.Weights[i])
			d.Weights[i] -= float32(p.Rate * float32(u))
			d.moment1[i], d.moment2[i] = m, v
		}
	}
	return nil
}

// Read copies the state to slices.
func (d *Memory) Read(weights, moment1, moment2 []float32) error {
	copy(weights, d.Weights)
	copy(moment1, d.moment1)
	copy(moment2, d.moment2)
	return nil
}

// Write copies the state from slices.
func (d *Memory) Write(weights, moment1, moment2 []float32) error {
	copy(d.Weights, weights)
	copy(d.moment1, moment1)
	copy(d.moment2, moment2)
	return nil
}
