package sampler

import (
	"fmt"

	"github.com/gramme-project/gramme/internal/rng"
)

// Batch draws micro-batch index, in [0, MicroBatches), of a step.
func (s *Sampler) Batch(step uint64, index int) (Batch, error) {
	if index < 0 || index >= s.cfg.MicroBatches {
		return Batch{}, fmt.Errorf("sampler: micro-batch %d of %d", index, s.cfg.MicroBatches)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.cfg.Rows * s.cfg.Seq
	flat := make([]int64, 3*size+s.cfg.Rows)
	out := Batch{
		Rows: s.cfg.Rows, Seq: s.cfg.Seq,
		IDs: flat[:size:size], Types: flat[size : 2*size : 2*size], Mask: flat[2*size : 3*size : 3*size],
		Next: flat[3*size:],
	}
	most := s.cfg.Rows * s.cfg.MaxPredictions
	out.Positions = make([]int64, 0, most)
	out.Labels = make([]int64, 0, most)
	s.masker.prob = s.cfg.maskProb(step)
	for row := range s.cfg.Rows {
		if err := s.drawSample(&out, row, s.firstSample(step, index)+uint64(row)); err != nil {
			return Batch{}, err
		}
	}
	return out, nil
}

// drawSample writes sample n: [CLS] A [SEP] B [SEP], padded.
func (s *Sampler) drawSample(out *Batch, row int, n uint64) error {
	e, number, at := s.order.locate(n)
	w, err := s.loadWindow(e, number)
	if err != nil {
		return err
	}
	ref := w.refs[at]
	// One random stream per chunk and epoch, so that a sample does not depend on how the
	// samples are distributed over steps.
	r := rng.New(rng.DomainMask, s.cfg.Seed, e.epoch, uint64(w.ids[ref.shard]), uint64(ref.chunk))
	a, b := w.segments(s.a[:0], s.b[:0], at)
	s.a, s.b = a, b
	full := len(a) + len(b)
	a, b = truncate(a, b, s.cfg.Seq-3, r)
	out.Truncated += full - len(a) - len(b)
	if w.secondOf[at] != int32(at) {
		out.Next[row] = 1
	}

	base := row * s.cfg.Seq
	ids := out.IDs[base : base+s.cfg.Seq]
	length := 0
	put := func(id int32, segment int64) {
		ids[length] = int64(id)
		out.Types[base+length] = segment
		out.Mask[base+length] = 1
		length++
	}
	put(s.v.cls, 0)
	for _, t := range a {
		put(t, 0)
	}
	put(s.v.sep, 0)
	for _, t := range b {
		put(t, 1)
	}
	put(s.v.sep, 1)
	for c := length; c < s.cfg.Seq; c++ {
		ids[c] = int64(s.v.pad)
	}
	out.Tokens += length
	for _, c := range s.masker.drawPositions(ids, length, r) {
		out.Positions = append(out.Positions, int64(base)+int64(c))
		out.Labels = append(out.Labels, ids[c])
		ids[c] = s.masker.drawReplacement(ids[c], r)
	}
	return nil
}

// truncate cuts single tokens off the longer segment, at the front or the back with equal
// probability, until both fit, as BERT does.
func truncate(a, b []int32, budget int, r *rng.Source) ([]int32, []int32) {
	for len(a)+len(b) > budget {
		side := &b
		if len(a) > len(b) {
			side = &a
		}
		if r.IntN(2) == 0 {
			*side = (*side)[1:]
		} else {
			*side = (*side)[:len(*side)-1]
		}
	}
	return a, b
}
