package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica/model"
)

// each runs a benchmark for the layouts of a small and a large model; the speed is of the
// bytes of one buffer. base takes 2 GB of memory.
func each(b *testing.B, microBatches int, f func(b *testing.B, r Rule, cores int)) {
	for _, name := range []string{"tiny", "base"} {
		config, err := model.Preset(name)
		if err != nil {
			b.Fatal(err)
		}
		config.VocabSize = 30_522 // BERT's, so that base has 110 M parameters
		r := testRule(microBatches)
		r.Layout, r.Steps = model.NewLayout(config), 1<<40
		for _, cores := range []int{1, 2} {
			b.Run(fmt.Sprintf("model=%s/cores=%d", name, cores), func(b *testing.B) {
				b.SetBytes(4 * int64(r.Layout.Total))
				f(b, r, cores)
			})
		}
	}
}

func benchGrad(r Rule) []float32 {
	grad, random := make([]float32, r.Layout.Total), rand.New(rand.NewPCG(1, 1))
	for _, t := range r.Layout.Tensors {
		for i := range t.Len {
			grad[t.Offset+i] = (random.Float32() - 0.5) * 1e-3
		}
	}
	return grad
}

func benchState(b *testing.B, r Rule) *State {
	s, err := NewState(r, benchGrad(r))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkAdd(b *testing.B) {
	each(b, 8, func(b *testing.B, r Rule, cores int) {
		grad, s := benchGrad(r), benchState(b, r)
		a := NewAccumulator(r, cores)
		for i := 0; b.Loop(); i++ {
			if i%8 == 0 {
				a.Reset(s)
			}
			if err := a.Add(i%8, grad, Measured{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	each(b, 1, func(b *testing.B, r Rule, cores int) {
		s, a := benchState(b, r), newApplier(b, r, cores)
		entry := entryOf(b, r, s, [][]float32{benchGrad(r)}, Measured{})
		exponents := slices.Clone(s.Exponents)
		if _, err := a.Apply(s, entry); err != nil { // fresh memory is slow
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := a.Apply(s, entry); err != nil {
				b.Fatal(err)
			}
			// The entry stays; with it alone they would grow until the gradient is subnormal.
			copy(s.Exponents, exponents)
		}
	})
}

// BenchmarkOnce reads an entry, and reads and writes weights and moments, once: the bound of
// Apply.
func BenchmarkOnce(b *testing.B) {
	each(b, 1, func(b *testing.B, r Rule, cores int) {
		s, entry, chunks := benchState(b, r), make([]int32, r.Layout.Total), chunksOf(r.Layout)
		for b.Loop() {
			forEach(len(chunks), cores, func(i int) {
				const block = 1 << 12 // of the entry, stays in the cache
				for from := chunks[i].from; from < chunks[i].to; from += block {
					to := min(from+block, chunks[i].to)
					for _, x := range [][]float32{s.Weights, s.Moment1, s.Moment2} {
						vector.AddInts(words(x[from:to]), words(x[from:to]), entry[from:to])
					}
				}
			})
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	each(b, 1, func(b *testing.B, r Rule, cores int) {
		s := benchState(b, r)
		for b.Loop() {
			if _, err := Digest(s, cores); err != nil {
				b.Fatal(err)
			}
		}
	})
}
