package replica

import (
	"sync"
	"sync/atomic"

	"github.com/gramme-project/gramme/replica/model"
)

// chunkLen is the number of elements that one unit of parallel work covers.
// The chunks are part of the arithmetic: the norm is summed per chunk, then in
// the order of the chunks, so that it does not depend on the number of cores.
const chunkLen = 1 << 16

// chunk is a range of one tensor in the flat buffer.
type chunk struct{ tensor, from, to int }

func chunksOf(l model.Layout) []chunk {
	var cs []chunk
	for k, t := range l.Tensors {
		for from := t.Offset; from < t.Offset+t.Len; from += chunkLen {
			cs = append(cs, chunk{k, from, min(from+chunkLen, t.Offset+t.Len)})
		}
	}
	return cs
}

// forEach calls f for every index below n on up to `cores` goroutines and
// returns when all calls have. f must not depend on the order.
func forEach(n, cores int, f func(i int)) {
	cores = min(cores, n)
	if cores <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range cores {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}
