package pin

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// Slice copies the part of a state that a rank sends to the checkpoint service. The
// header says which rank of how many that is; the slice [First, End) of each part, and
// what rank 0 tells of the whole state, are put into it.
func Slice(s *replica.State, h wire.SliceHeader, cores int) (wire.SliceHeader, map[string][]float32, error) {
	total := len(s.Weights)
	// Slices are cut at multiples of 16 elements, as the layout's tensors are.
	cut := func(rank int) int { return total / 16 * rank / h.World * 16 }
	h.First, h.End = cut(h.Rank), cut(h.Rank+1)
	if h.Rank == h.World-1 {
		h.End = total
	}
	if h.Rank == 0 {
		info, err := Describe(s, cores)
		if err != nil {
			return h, nil, err
		}
		h.Meta, h.Digest = info.Meta, info.Digest
	}
	parts := map[string][]float32{}
	for _, name := range []string{wire.PartWeights, wire.PartMoment1, wire.PartMoment2} {
		parts[name] = slices.Clone((*Part(s, name))[h.First:h.End])
	}
	return h, parts, nil
}
