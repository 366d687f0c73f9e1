package sampler

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/gramme-project/gramme/shard"
)

// keptWindows bounds the windows in memory: a batch may span two.
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
	cfg.Split = cmp.Or(cfg.Split, "train")
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
		masker: masker{v: v, maxPredictions: cfg.MaxPredictions, wholeWord: cfg.WholeWord},
	}, nil
}

// firstSample returns the number of the first sample of a micro-batch.
func (s *Sampler) firstSample(step uint64, index int) uint64 {
	return (step*uint64(s.cfg.MicroBatches) + uint64(index)) * uint64(s.cfg.Rows)
}

// loadWindow returns a window from memory, or draws it from its shards.
func (s *Sampler) loadWindow(e *epochOrder, number int) (*window, error) {
	for i := len(s.windows) - 1; i >= 0; i-- {
		w := s.windows[i]
		if w.epoch == e.epoch && w.number == number {
			copy(s.windows[i:], s.windows[i+1:])
			s.windows[len(s.windows)-1] = w
			return w, nil
		}
	}
	ids := s.order.shardsOf(e, number)
	shards := make([]*shard.Shard, len(ids))
	for i, id := range ids {
		shards[i] = s.loadedShard(id)
	}
	// The oldest window is dropped first, so that there are never three in memory.
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
		if err := checkShard(sh, s.split.Shards[id], s.seq, s.v); err != nil {
			return nil, err
		}
		shards[i] = sh
	}
	w := drawWindow(s.cfg.Seed, e, number, ids, shards, s.v)
	s.windows = append(s.windows, w)
	return w, nil
}

// loadedShard returns a shard that a window in memory has, or nil.
func (s *Sampler) loadedShard(id int32) *shard.Shard {
	for _, w := range s.windows {
		if i := slices.Index(w.ids, id); i >= 0 {
			return w.shards[i]
		}
	}
	return nil
}
