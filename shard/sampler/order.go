package sampler

import (
	"sort"

	"github.com/gramme-project/gramme/internal/rng"
)

// order computes to which window of which epoch a sample belongs. It knows the sizes of
// the shards, not their content.
type order struct {
	seed    uint64
	window  int
	sizes   []int // chunks by shard
	chunks  uint64
	windows int
	cached  [2]*epochOrder // a batch shorter than an epoch touches at most two
	next    int
}

// epochOrder is the order of the shards in one epoch, cut into windows.
type epochOrder struct {
	epoch  uint64
	shards []int32
	starts []uint64 // windows+1: the position in the epoch at which each begins
}

func newOrder(seed uint64, window int, sizes []int) *order {
	o := &order{seed: seed, window: window, sizes: sizes}
	for _, n := range sizes {
		o.chunks += uint64(n)
	}
	o.windows = (len(sizes) + window - 1) / window
	return o
}

// epoch returns the order of an epoch.
func (o *order) epoch(e uint64) *epochOrder {
	for _, c := range o.cached {
		if c != nil && c.epoch == e {
			return c
		}
	}
	eo := &epochOrder{epoch: e, shards: rng.New(rng.DomainShardOrder, o.seed, e).Perm(len(o.sizes))}
	eo.starts = make([]uint64, o.windows+1)
	for w := range o.windows {
		eo.starts[w+1] = eo.starts[w]
		for _, s := range o.shardsOf(eo, w) {
			eo.starts[w+1] += uint64(o.sizes[s])
		}
	}
	o.cached[o.next] = eo
	o.next = 1 - o.next
	return eo
}

// shardsOf returns the shards of window w. The windows of an epoch differ by at most one
// shard, so that none has too few chunks to shuffle.
func (o *order) shardsOf(e *epochOrder, w int) []int32 {
	n := len(e.shards)
	return e.shards[w*n/o.windows : (w+1)*n/o.windows]
}

// locate returns the epoch of sample n, its window, and its position in the window.
func (o *order) locate(n uint64) (e *epochOrder, w int, at int) {
	e = o.epoch(n / o.chunks)
	pos := n % o.chunks
	w = sort.Search(o.windows, func(i int) bool { return e.starts[i+1] > pos })
	return e, w, int(pos - e.starts[w])
}
