// Package devicecheck compares a replica.Device with the plain Go of package replica: random
// runs whose gradients hold what is hard, from denormal numbers and clamped values to NaN.
//
// It guarantees that a device which passes gave the same entries, outcomes and states, bit by
// bit, in the steps that were played. It proves nothing about other numbers: play many seeds.
package devicecheck

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// Device is a replica.Device whose gradient can be set.
type Device interface {
	replica.Device
	// SetGradient replaces the gradient of the newest micro-batch.
	SetGradient(g []float32) error
}

// steps of a run.
const steps = 6

// Run plays a run of a seed on a device, which open makes, and in plain Go. It returns the
// first difference as an error.
func Run(seed uint64, open func(replica.Rule) (Device, error)) error {
	random := rand.New(rand.NewPCG(seed, 0x64657669))
	rule := drawRule(random)
	d, err := open(rule)
	if err != nil {
		return err
	}
	r := run{random: random, rule: rule, device: d, sizes: make([]float64, len(rule.Layout.Tensors))}
	for k := range r.sizes {
		r.sizes[k] = math.Ldexp(1, random.IntN(50)-38)
	}
	if err := r.play(); err != nil {
		return fmt.Errorf("seed %d, %d micro-batches, %s, %d elements: %w", seed, rule.MicroBatches, rule.Reduce, rule.Layout.Total, err)
	}
	return nil
}

// drawRule draws a layout with gaps, and hyperparameters.
func drawRule(random *rand.Rand) replica.Rule {
	lengths := []int{1, 2, 15, 16, 17, 48, 255, 768, 1000, 4096, 4097, 5000}
	if random.IntN(4) == 0 {
		lengths = append(lengths, 1<<16, 1<<16+1, 100_000)
	}
	var l model.Layout
	for k := range 1 + random.IntN(6) {
		n := lengths[random.IntN(len(lengths))]
		l.Tensors = append(l.Tensors, model.Tensor{Name: string(rune('a' + k)), Shape: []int{n}, Offset: l.Total, Len: n, Decay: random.IntN(2) == 0})
		l.Total += (n + model.Alignment - 1) / model.Alignment * model.Alignment
	}
	pick := func(of ...float64) float64 { return of[random.IntN(len(of))] }
	r := replica.Rule{
		Layout: l, MicroBatches: 1 + random.IntN(4), Steps: steps, Reduce: replica.Exact,
		Optimizer: replica.AdamW{
			LearningRate: pick(1e-4, 1e-2, 0.3), Warmup: 2, Beta1: pick(0, 0.9), Beta2: pick(0, 0.98, 0.999),
			Epsilon: pick(1e-12, 1e-8, 1e-6), WeightDecay: pick(0, 0.01, 0.1), Clip: pick(0, 1e-3, 1),
		},
	}
	if random.IntN(4) == 0 {
		r.Reduce = replica.Float
	}
	return r
}

type run struct {
	random *rand.Rand
	rule   replica.Rule
	device Device
	sizes  []float64 // of the gradients of each tensor
}

func (r *run) play() error {
	weights := make([]float32, r.rule.Layout.Total)
	r.fill(weights, func(int) float64 { return r.random.NormFloat64() * math.Ldexp(1, r.random.IntN(8)-4) })
	host, err := replica.NewState(r.rule, weights)
	if err != nil {
		return err
	}
	there := host.Clone()
	there.MoveTo(r.device)
	applier, err := replica.NewApplier(r.rule, 2)
	if err != nil {
		return err
	}
	sum := replica.NewAccumulator(r.rule, 2)
	far, err := replica.NewDeviceAccumulator(r.rule, r.device)
	if err != nil {
		return err
	}
	for range steps {
		sum.Reset(host)
		far.Reset(there)
		for i := range r.rule.MicroBatches {
			if err := r.add(i, sum, far); err != nil {
				return err
			}
		}
		if err := far.Gather(); err != nil {
			return err
		}
		if err := r.sameEntry(far.Entry(), sum.Entry()); err != nil {
			return fmt.Errorf("entry of step %d: %w", host.Step+1, err)
		}
		want, err := applier.Apply(host, sum.Entry())
		if err != nil {
			return err
		}
		got, err := applier.Apply(there, sum.Entry())
		if err != nil {
			return err
		}
		if math.Float64bits(got.Norm) != math.Float64bits(want.Norm) || got.Skipped != want.Skipped || got.Clamped != want.Clamped {
			return fmt.Errorf("step %d: norm %v, skipped %v, clamped %d, want %v, %v, %d", host.Step, got.Norm, got.Skipped, got.Clamped, want.Norm, want.Skipped, want.Clamped)
		}
		if err := sameState(there, host); err != nil {
			return fmt.Errorf("after step %d: %w", host.Step, err)
		}
		for k := range r.sizes {
			r.sizes[k] *= math.Ldexp(1, r.random.IntN(9)-4)
		}
	}
	return nil
}

// add adds a micro-batch to both sums.
func (r *run) add(i int, sum, far *replica.Accumulator) error {
	gradient := make([]float32, r.rule.Layout.Total)
	r.fill(gradient, func(k int) float64 { return r.random.NormFloat64() * r.sizes[k] })
	if r.random.IntN(12) == 0 {
		odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}
		t := r.rule.Layout.Tensors[r.random.IntN(len(r.rule.Layout.Tensors))]
		gradient[t.Offset+r.random.IntN(t.Len)] = odd[r.random.IntN(len(odd))]
	}
	if err := r.device.SetGradient(gradient); err != nil {
		return err
	}
	m := replica.Measured{MLMLoss: 3, NSPLoss: 0.5, MLMCount: 4, NSPCount: 2, Tokens: 9}
	if err := sum.Add(i, gradient, m); err != nil {
		return err
	}
	return far.Add(i, nil, m)
}

// fill writes what draw gives into the tensors, and a few numbers that are hard.
func (r *run) fill(flat []float32, draw func(tensor int) float64) {
	hard := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1e-40, 1.1754944e-38, 0.5, -0.5, 1.5, 2.5}
	for k, t := range r.rule.Layout.Tensors {
		zero := r.random.IntN(10) == 0
		for i := range t.Len {
			switch {
			case zero:
			case r.random.IntN(16) == 0:
				flat[t.Offset+i] = hard[r.random.IntN(len(hard))]
			case r.random.IntN(512) == 0: // far above the others: clamped, until the exponent follows
				flat[t.Offset+i] = float32(draw(k) * math.Ldexp(1, r.random.IntN(20)))
			default:
				flat[t.Offset+i] = float32(draw(k))
			}
		}
	}
}

func (r *run) sameEntry(got, want []int32) error {
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		g, w := math.Float32frombits(uint32(got[i])), math.Float32frombits(uint32(want[i]))
		if r.rule.Reduce == replica.Float && math.IsNaN(float64(g)) && math.IsNaN(float64(w)) {
			continue // which NaN a sum gives is the processor's; the step is skipped
		}
		return fmt.Errorf("word %d of %d is %d, want %d", i, len(want), got[i], want[i])
	}
	return nil
}

func sameState(got, want *replica.State) error {
	g, err := replica.Digest(got, 1) // refreshes the slices
	if err != nil {
		return err
	}
	for _, b := range []struct {
		name      string
		got, want []float32
	}{{"weight", got.Weights, want.Weights}, {"first moment", got.Moment1, want.Moment1}, {"second moment", got.Moment2, want.Moment2}} {
		for i := range b.want {
			if math.Float32bits(b.got[i]) != math.Float32bits(b.want[i]) {
				return fmt.Errorf("%s %d is %x, want %x", b.name, i, math.Float32bits(b.got[i]), math.Float32bits(b.want[i]))
			}
		}
	}
	w, err := replica.Digest(want, 1)
	if err == nil && g != w {
		err = fmt.Errorf("digest %s, want %s", g, w)
	}
	return err
}
