package assembly

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// small is a rule of one tensor that ends in a gap.
func small() replica.Rule {
	l := model.Layout{Tensors: []model.Tensor{{Name: "a", Shape: []int{21}, Len: 21}}, Total: 32}
	return replica.Rule{
		Layout: l, MicroBatches: 2, Steps: 100, Reduce: replica.Exact,
		Optimizer: replica.AdamW{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.9, Epsilon: 1e-6, Clip: 1},
	}
}

// TestWhichStepIsCollected adds chunks of one element.
func TestWhichStepIsCollected(t *testing.T) {
	a := newAssembly(small())
	for i, c := range []struct {
		step, generation uint64
		older            bool
	}{
		{10, 1, false}, {12, 1, false}, // a later step replaces an earlier
		{11, 1, true},  // too late
		{11, 2, false}, // the workers that had applied step 12 are gone: the others go on before it
		{12, 1, true},  // what those had sent
		{11, 1, false}, // the state of a step is one
		{12, 2, false}, {12, 3, false}, {11, 2, true},
	} {
		h := wire.SliceHeader{Step: c.step, Generation: c.generation, Part: wire.PartWeights, Count: 1}
		err := a.add(h, make([]byte, 4))
		if errors.Is(err, errOlder) != c.older || err != nil && !c.older {
			t.Errorf("chunk %d, step %d of generation %d: %v", i, c.step, c.generation, err)
		}
		if !c.older && a.step != c.step {
			t.Errorf("chunk %d: step %d is collected, not %d", i, a.step, c.step)
		}
	}
}

// TestCover compares with a naive set of elements.
func TestCover(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var have []interval
		set := make([]bool, 40)
		for range 12 {
			from := r.IntN(40)
			to := from + r.IntN(41-from)
			have = cover(have, interval{from, to})
			for i := from; i < to; i++ {
				set[i] = true
			}
			got := make([]bool, 40)
			for k, h := range have {
				if h.from >= h.to || k > 0 && h.from <= have[k-1].to {
					t.Fatalf("intervals %v", have)
				}
				for i := h.from; i < h.to; i++ {
					got[i] = true
				}
			}
			if !slices.Equal(got, set) {
				t.Fatalf("%v after %d to %d", have, from, to)
			}
		}
	}
}
