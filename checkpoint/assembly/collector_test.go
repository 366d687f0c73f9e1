package assembly

import (
	"errors"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// chunksOf are the chunks of a state after a step, each half of a part; the first
// says what the state is.
func chunksOf(t *testing.T, step, generation uint64) (headers []wire.SliceHeader, data [][]byte) {
	t.Helper()
	s, err := replica.NewState(small(), make([]float32, 32))
	if err != nil {
		t.Fatal(err)
	}
	s.Step, s.Updates = step, step
	for i := range 21 {
		s.Weights[i], s.Moment1[i], s.Moment2[i] = float32(i), float32(step), 1
	}
	meta, err := s.EncodeMeta()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := replica.Digest(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, flat := range map[string][]float32{wire.PartWeights: s.Weights, wire.PartMoment1: s.Moment1, wire.PartMoment2: s.Moment2} {
		for _, at := range []int{0, 16} {
			h := wire.SliceHeader{Step: step, Generation: generation, Part: name, Offset: at, Count: 16}
			if name == wire.PartWeights && at == 0 {
				h.Meta, h.Digest = meta, digest
			}
			headers, data = append(headers, h), append(data, replica.Bytes(flat[at:at+16]))
		}
	}
	return headers, data
}

// give hands all chunks but some to a collector, and reports whether the last made the
// state whole.
func give(t *testing.T, c *Collector, step, generation uint64, but ...int) (whole bool) {
	t.Helper()
	headers, data := chunksOf(t, step, generation)
	for i, h := range headers {
		if slices.Contains(but, i) {
			continue
		}
		w, err := c.Take(h, data[i])
		if err != nil || whole {
			t.Fatalf("chunk %d of step %d: whole before: %v, %v", i, step, whole, err)
		}
		whole = w
	}
	return whole
}

func TestAStateIsWholeWithItsLastChunk(t *testing.T) {
	for missing := range 6 {
		if give(t, NewCollector(small()), 3, 1, missing) {
			t.Errorf("whole without chunk %d", missing)
		}
	}
	c := NewCollector(small())
	if !give(t, c, 3, 1) {
		t.Fatal("not whole with all chunks")
	}
	s, about, err := c.Finish(1)
	if err != nil || s.Step != 3 || about.Digest == "" {
		t.Fatalf("step %d, %+v, %v", s.Step, about, err)
	}
}

func TestNothingIsTakenWhileAStateIsWritten(t *testing.T) {
	c := NewCollector(small())
	give(t, c, 3, 1)
	s, _, err := c.Finish(1)
	if err != nil {
		t.Fatal(err)
	}
	late, data := chunksOf(t, 4, 1)
	if _, err := c.Take(late[0], data[0]); !errors.Is(err, ErrBusy) {
		t.Errorf("a chunk of the next step: %v", err)
	}
	again, data := chunksOf(t, 3, 2)
	if whole, err := c.Take(again[0], data[0]); whole || err != nil {
		t.Errorf("a chunk of the same step: %v, %v", whole, err)
	}
	if s.Step != 3 {
		t.Errorf("the state that is written is of step %d now", s.Step)
	}
	c.Stored(3)
	for _, step := range []uint64{2, 3} {
		if give(t, c, step, 9) {
			t.Errorf("step %d is whole once more", step)
		}
	}
	if !give(t, c, 4, 1) {
		t.Error("the next step is not whole")
	}
}

// TestTheMembersOfAGenerationAreDoubted spoils a state of each of some generations.
func TestTheMembersOfAGenerationAreDoubted(t *testing.T) {
	c := NewCollector(small())
	spoil := func(from, to uint64) *RefusedError {
		headers, data := chunksOf(t, 3, from)
		data[5] = slices.Clone(data[5])
		data[5][0]++
		headers[5].Generation = to
		for i, h := range headers {
			if _, err := c.Take(h, data[i]); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := c.Finish(1)
		var r *RefusedError
		if !errors.As(err, &r) || r.Step != 3 {
			t.Fatalf("a spoiled state: %v", err)
		}
		return r
	}
	if spoil(1, 2).Doubted {
		t.Error("slices of two generations cast doubt on one")
	}
	for g := uint64(2); g < 5; g++ {
		if r := spoil(g, g); !r.Doubted || r.Generation != g {
			t.Errorf("generation %d: %+v", g, r)
		}
	}
	if spoil(5, 5).Doubted {
		t.Error("a fourth generation is doubted")
	}
}
