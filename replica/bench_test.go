package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const benchElements = 10_000_000

func perCore(b *testing.B, f func(b *testing.B, cores int)) {
	for _, cores := range []int{1, 2} {
		b.Run(fmt.Sprintf("cores=%d", cores), func(b *testing.B) { f(b, cores) })
	}
}

func benchGrad(r Rule) []float32 { return fill(r.Layout, rand.New(rand.NewPCG(1, 1)), 1e-3) }

func BenchmarkAdd(b *testing.B) {
	r := testRule(8, benchElements)
	grad := benchGrad(r)
	perCore(b, func(b *testing.B, cores int) {
		s := newState(b, r, 1)
		a := NewAccumulator(r, cores)
		b.SetBytes(4 * benchElements)
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
	r := testRule(1, benchElements)
	r.Steps = 1 << 40
	grad := benchGrad(r)
	perCore(b, func(b *testing.B, cores int) {
		s, a := newState(b, r, 1), newApplier(b, r, cores)
		entry := entryOf(b, r, s, [][]float32{grad}, Measured{})
		b.SetBytes(4 * benchElements)
		for b.Loop() {
			if _, err := a.Apply(s, entry); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	r := testRule(1, benchElements)
	perCore(b, func(b *testing.B, cores int) {
		s := newState(b, r, 1)
		b.SetBytes(3 * 4 * benchElements)
		for b.Loop() {
			if _, err := Digest(s, cores); err != nil {
				b.Fatal(err)
			}
		}
	})
}
