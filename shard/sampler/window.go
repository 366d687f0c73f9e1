package sampler

import (
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/shard"
)

// window is the chunks of a few shards, shuffled together: the samples of one stretch of
// an epoch. It is immutable once drawn.
type window struct {
	epoch    uint64
	number   int
	ids      []int32 // shard numbers in the split
	shards   []*shard.Shard
	refs     []chunkRef // by position
	cuts     []uint16   // by position: where the chunk's second half begins
	secondOf []int32    // by position: the sample whose second half follows, itself if real
}

// chunkRef is a chunk: the index of its shard in the window and its number in the shard.
type chunkRef struct{ shard, chunk int32 }

// drawWindow draws the order, cuts and exchanges of a window.
func drawWindow(seed uint64, e *epochOrder, number int, ids []int32, shards []*shard.Shard, v *Vocabulary) *window {
	w := &window{epoch: e.epoch, number: number, ids: ids, shards: shards}
	var all []chunkRef
	for i, s := range shards {
		for c := range s.Chunks() {
			all = append(all, chunkRef{int32(i), int32(c)})
		}
	}
	w.refs = make([]chunkRef, len(all))
	w.cuts = make([]uint16, len(all))
	w.secondOf = make([]int32, len(all))
	for at, from := range rng.New(rng.DomainWindowOrder, seed, e.epoch, uint64(number)).Perm(len(all)) {
		r := all[from]
		w.refs[at] = r
		w.cuts[at] = uint16(drawCut(seed, e.epoch, uint64(ids[r.shard]), shards[r.shard], int(r.chunk), v))
		w.secondOf[at] = int32(at)
	}
	w.exchangeSecondHalves(rng.New(rng.DomainExchange, seed, e.epoch, uint64(number)))
	return w
}

// drawCut draws where a chunk's second half begins: at one of its sentence boundaries, or,
// if it has a single sentence, at the word boundary nearest to its middle.
func drawCut(seed, epoch, id uint64, s *shard.Shard, chunk int, v *Vocabulary) int {
	if n := s.Bounds(chunk); n > 0 {
		return s.Bound(chunk, int(rng.Mix(rng.DomainCut, seed, epoch, id, uint64(chunk))%uint64(n)))
	}
	n := s.Len(chunk)
	tokens := s.AppendTokens(make([]int32, 0, 512), chunk, 0, n)
	for d := 0; d < n/2; d++ {
		for _, at := range [2]int{n/2 - d, n/2 + d} {
			if at > 0 && at < n && !v.piece[tokens[at]] {
				return at
			}
		}
	}
	return max(1, n/2)
}

func (w *window) length(at int) int {
	r := w.refs[at]
	return w.shards[r.shard].Len(int(r.chunk))
}

func (w *window) document(at int) uint64 {
	r := w.refs[at]
	return w.shards[r.shard].Document(int(r.chunk))
}

// exchangeSecondHalves swaps the second halves of about half of the samples, in pairs of
// different documents. Partners are matched in the order of the length of their second
// halves, so that a swapped pair is about as long as a real one: little is cut off, and the
// length tells the model nothing.
func (w *window) exchangeSecondHalves(r *rng.Source) {
	n := len(w.refs)
	count := n / 2
	if count%2 == 1 {
		count += 1 - 2*r.IntN(2)
	}
	chosen := make([]int32, 0, count)
	for _, at := range r.Perm(n)[:count] {
		if w.length(int(at)) > int(w.cuts[at]) {
			chosen = append(chosen, at)
		}
	}
	slices.SortStableFunc(chosen, func(a, b int32) int {
		return (w.length(int(a)) - int(w.cuts[a])) - (w.length(int(b)) - int(w.cuts[b]))
	})
	// All samples that wait for a partner are of one document.
	var waiting []int32
	for _, at := range chosen {
		last := len(waiting) - 1
		if last >= 0 && w.document(int(waiting[last])) != w.document(int(at)) {
			w.secondOf[at], w.secondOf[waiting[last]] = waiting[last], at
			waiting = waiting[:last]
		} else {
			waiting = append(waiting, at)
		}
	}
}

// segments appends the two halves of the sample at a position.
func (w *window) segments(a, b []int32, at int) ([]int32, []int32) {
	r := w.refs[at]
	a = w.shards[r.shard].AppendTokens(a, int(r.chunk), 0, int(w.cuts[at]))
	d := int(w.secondOf[at])
	r = w.refs[d]
	b = w.shards[r.shard].AppendTokens(b, int(r.chunk), int(w.cuts[d]), w.length(d))
	return a, b
}

// checkShard reports a shard that is not the one in the manifest.
func checkShard(s *shard.Shard, info shard.ShardInfo, maxSeq int, v *Vocabulary) error {
	switch {
	case s == nil:
		return fmt.Errorf("load shard %s: nothing loaded", info.Name)
	case s.Chunks() != info.Chunks || int64(s.Tokens()) != info.Tokens:
		return fmt.Errorf("load shard %s: %d chunks and %d tokens, the manifest says %d and %d", info.Name, s.Chunks(), s.Tokens(), info.Chunks, info.Tokens)
	case s.VocabSize() != v.size:
		return fmt.Errorf("load shard %s: vocabulary of %d, want %d", info.Name, s.VocabSize(), v.size)
	case s.MaxSeq() > maxSeq:
		return fmt.Errorf("load shard %s: chunks for sequences of %d, the manifest says %d", info.Name, s.MaxSeq(), maxSeq)
	}
	return nil
}
