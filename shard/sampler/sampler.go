package sampler

import (
	"fmt"
	"slices"
	"sync"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/shard"
)

// keptWindows bounds the windows in memory: a batch may straddle two.
const keptWindows = 2

// Sampler draws batches. It is safe for concurrent use; calls take turns.
type Sampler struct {
	cfg   Config
	split shard.Split
	seq   int // the corpus's MaxSeq
	v     *Vocabulary
	load  func(i int) (*shard.Shard, error)

	mu      sync.Mutex
	order   *order
	windows []*window // at most keptWindows, the most recently used last
	masker  masker
	a, b    []int32
}

// New makes a sampler over one split of a prepared corpus. load opens shard i of
// that split, with errors that name it; it is called as windows are entered, at
// most once for each shard of a window while the window is in memory.
func New(cfg Config, m shard.Manifest, v *Vocabulary, load func(i int) (*shard.Shard, error)) (*Sampler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	split, err := m.Split(cfg.Split)
	if err != nil {
		return nil, fmt.Errorf("sampler: %w", err)
	}
	if cfg.Seq < m.MaxSeq {
		return nil, fmt.Errorf("sampler: sequence length %d, but the corpus was prepared for %d: prepare it again", cfg.Seq, m.MaxSeq)
	}
	if v.size != m.VocabSize {
		return nil, fmt.Errorf("sampler: vocabulary of %d tokens, but the corpus was prepared with %d", v.size, m.VocabSize)
	}
	sizes := make([]int, len(split.Shards))
	for i, s := range split.Shards {
		if s.Chunks < 1 {
			return nil, fmt.Errorf("sampler: shard %s has no chunks", s.Name)
		}
		sizes[i] = s.Chunks
	}
	if len(sizes) == 0 {
		return nil, fmt.Errorf("sampler: the %s split is empty", cfg.Split)
	}
	return &Sampler{
		cfg: cfg, split: split, seq: m.MaxSeq, v: v, load: load,
		order:  newOrder(cfg.Seed, cfg.Window, sizes),
		masker: masker{v: v, prob: cfg.MaskProb, most: cfg.MaxPredictions, whole: cfg.WholeWord},
	}, nil
}

// Chunks is the number of samples of an epoch.
func (s *Sampler) Chunks() int64 { return int64(s.order.chunks) }

// first is the number of the first sample of a micro-batch.
func (s *Sampler) first(step uint64, index int) uint64 {
	return (step*uint64(s.cfg.MicroBatches) + uint64(index)) * uint64(s.cfg.Rows)
}

// Epoch is how many whole epochs lie before a step, and the share of the next.
func (s *Sampler) Epoch(step uint64) (whole uint64, share float64) {
	n := s.first(step, 0)
	return n / s.order.chunks, float64(n%s.order.chunks) / float64(s.order.chunks)
}

// Needs lists the shards of the split that the micro-batches of a step touch,
// ascending, so that they can be fetched ahead. It loads nothing.
func (s *Sampler) Needs(step uint64) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var need []int
	end := s.first(step+1, 0)
	for n := s.first(step, 0); n < end; {
		e, w, _ := s.order.place(n)
		for _, i := range s.order.members(e, w) {
			need = append(need, int(i))
		}
		n = e.epoch*s.order.chunks + e.starts[w+1]
		if len(need) > 2*len(s.split.Shards) {
			break // more than a whole epoch: every shard is in the list
		}
	}
	slices.Sort(need)
	return slices.Compact(need)
}

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
	for row := range s.cfg.Rows {
		if err := s.row(&out, row, s.first(step, index)+uint64(row)); err != nil {
			return Batch{}, err
		}
	}
	return out, nil
}

// row writes sample n: [CLS] A [SEP] B [SEP], padded.
func (s *Sampler) row(out *Batch, row int, n uint64) error {
	e, number, at := s.order.place(n)
	w, err := s.window(e, number)
	if err != nil {
		return err
	}
	ref := w.refs[at]
	// One stream a chunk and epoch, so that a sample does not depend on how the
	// samples are dealt to steps.
	r := rng.New(rng.DomainMask, s.cfg.Seed, e.epoch, uint64(w.ids[ref.shard]), uint64(ref.chunk))
	a, b := w.segments(s.a[:0], s.b[:0], at)
	s.a, s.b = a, b
	full := len(a) + len(b)
	a, b = truncate(a, b, s.cfg.Seq-3, r)
	out.Truncated += full - len(a) - len(b)
	if w.donors[at] != int32(at) {
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
	for _, c := range s.masker.choose(ids, length, r) {
		out.Positions = append(out.Positions, int64(base)+int64(c))
		out.Labels = append(out.Labels, ids[c])
		ids[c] = s.masker.replacement(ids[c], r)
	}
	return nil
}

// truncate cuts single tokens off the longer segment, at the front or the back
// with equal chance, until both fit: BERT's rule.
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

// window returns a window from memory, or builds it from its shards.
func (s *Sampler) window(e *epochOrder, number int) (*window, error) {
	for i := len(s.windows) - 1; i >= 0; i-- {
		w := s.windows[i]
		if w.epoch == e.epoch && w.number == number {
			copy(s.windows[i:], s.windows[i+1:])
			s.windows[len(s.windows)-1] = w
			return w, nil
		}
	}
	ids := s.order.members(e, number)
	shards := make([]*shard.Shard, len(ids))
	for i, id := range ids {
		shards[i] = s.held(id)
	}
	// The window that must go goes first, so that no third is in memory meanwhile.
	if len(s.windows) == keptWindows {
		s.windows = slices.Delete(s.windows, 0, 1)
	}
	for i, id := range ids {
		if shards[i] != nil {
			continue
		}
		sh, err := s.load(int(id))
		if err != nil {
			return nil, fmt.Errorf("sampler: %w", err)
		}
		if err := check(sh, s.split.Shards[id], s.seq, s.v); err != nil {
			return nil, err
		}
		shards[i] = sh
	}
	w := buildWindow(s.cfg.Seed, e, number, ids, shards, s.v)
	s.windows = append(s.windows, w)
	return w, nil
}

// held returns a shard that a window in memory has already, or nil.
func (s *Sampler) held(id int32) *shard.Shard {
	for _, w := range s.windows {
		if i := slices.Index(w.ids, id); i >= 0 {
			return w.shards[i]
		}
	}
	return nil
}
