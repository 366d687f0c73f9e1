package pin

import (
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// TestSlicesCoverTheState puts the slices of all ranks together again.
func TestSlicesCoverTheState(t *testing.T) {
	s := &replica.State{}
	for i := range 90 {
		s.Weights, s.Moment1, s.Moment2 = append(s.Weights, float32(i)), append(s.Moment1, float32(-i)), append(s.Moment2, 1)
	}
	for world := 1; world <= 8; world++ {
		var weights, moments []float32
		for rank := range world {
			h, parts, err := Slice(s, wire.SliceHeader{Rank: rank, World: world}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if h.First != len(weights) || h.First%16 != 0 || h.End-h.First != len(parts[wire.PartMoment2]) || (h.Digest != "") != (rank == 0) {
				t.Errorf("rank %d of %d: %+v", rank, world, h)
			}
			weights, moments = append(weights, parts[wire.PartWeights]...), append(moments, parts[wire.PartMoment1]...)
		}
		if !slices.Equal(weights, s.Weights) || !slices.Equal(moments, s.Moment1) {
			t.Errorf("the slices of %d ranks are not the state", world)
		}
	}
}
