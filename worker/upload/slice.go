package upload

import (
	"iter"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
)

// Slice is a copy of the part of a state that a rank sends to the checkpoint service.
type Slice struct {
	Header wire.SliceHeader // without Part, Offset and Count
	parts  map[string][]float32
}

var parts = []string{wire.PartWeights, wire.PartMoment1, wire.PartMoment2}

// NewSlice copies the slice of a rank. The header says which rank of how many that is; the
// range [First, End), and what rank 0 tells of the whole state, are put into it.
func NewSlice(s *replica.State, h wire.SliceHeader, cores int) (Slice, error) {
	if err := s.Refresh(); err != nil {
		return Slice{}, err
	}
	total := len(s.Weights)
	// Slices are cut at multiples of 16 elements, as the layout's tensors are.
	cut := func(rank int) int { return total / 16 * rank / h.World * 16 }
	h.First, h.End = cut(h.Rank), cut(h.Rank+1)
	if h.Rank == h.World-1 {
		h.End = total
	}
	if h.Rank == 0 {
		info, err := pin.Describe(s, cores)
		if err != nil {
			return Slice{}, err
		}
		h.Meta, h.Digest = info.Meta, info.Digest
	}
	slice := Slice{h, map[string][]float32{}}
	for _, name := range parts {
		slice.parts[name] = slices.Clone((*pin.Part(s, name))[h.First:h.End])
	}
	return slice, nil
}

// Chunks are the messages of a slice, each with at most so many words. The first tells of the
// whole state.
func (s Slice) Chunks(words int) iter.Seq2[wire.SliceHeader, []float32] {
	return func(yield func(wire.SliceHeader, []float32) bool) {
		h := s.Header
		for _, name := range parts {
			all := s.parts[name]
			for at := 0; at < len(all) || at == 0; at += words {
				chunk := all[at:min(at+words, len(all))]
				h.Part, h.Offset, h.Count = name, h.First+at, len(chunk)
				if !yield(h, chunk) {
					return
				}
				h.Meta, h.Digest, h.Loss, h.Numerics, h.Lineage = nil, "", 0, wire.Numerics{}, wire.Lineage{}
			}
		}
	}
}
