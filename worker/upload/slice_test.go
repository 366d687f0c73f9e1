package upload

import (
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// TestSlicesCoverTheState puts the chunks of all ranks together again.
func TestSlicesCoverTheState(t *testing.T) {
	s := &replica.State{}
	for i := range 90 {
		s.Weights, s.Moment1, s.Moment2 = append(s.Weights, float32(i)), append(s.Moment1, float32(-i)), append(s.Moment2, 1)
	}
	for world := 1; world <= 8; world++ {
		got := map[string][]float32{}
		for rank := range world {
			slice, err := NewSlice(s, wire.SliceHeader{Rank: rank, World: world, Loss: 3}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if slice.Header.First%16 != 0 {
				t.Errorf("rank %d of %d begins at %d", rank, world, slice.Header.First)
			}
			first := true
			for h, words := range slice.Chunks(7) {
				if h.Offset != len(got[h.Part]) || h.Count != len(words) || (h.Digest != "") != (first && rank == 0) || (h.Loss != 0) != first {
					t.Errorf("rank %d of %d: %+v", rank, world, h)
				}
				got[h.Part] = append(got[h.Part], words...)
				first = false
			}
		}
		if !slices.Equal(got[wire.PartWeights], s.Weights) || !slices.Equal(got[wire.PartMoment1], s.Moment1) || !slices.Equal(got[wire.PartMoment2], s.Moment2) {
			t.Errorf("the slices of %d ranks are not the state", world)
		}
	}
}
