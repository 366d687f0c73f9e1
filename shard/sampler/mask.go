package sampler

import (
	"math"

	"github.com/gramme-project/gramme/internal/rng"
)

// masker draws the masked positions of one row. It is scratch space; what it
// draws depends on the row and the stream only.
type masker struct {
	v       *Vocabulary
	prob    float64
	most    int
	whole   bool
	starts  []int32 // candidates: columns, or the first columns of words
	chosen  []bool  // by column
	columns []int32
}

// choose draws the columns of ids[:n] to predict, ascending; the result is valid
// until the next call. Their number is min(most, max(1, round(n*prob))), n
// including [CLS] and [SEP], or less where there are not as many candidates:
// special tokens are none.
func (m *masker) choose(ids []int64, n int, r *rng.Source) []int32 {
	want := min(m.most, max(1, int(math.RoundToEven(float64(n)*m.prob))))
	m.starts = m.starts[:0]
	m.chosen = append(m.chosen[:0], make([]bool, n)...)
	for c := range n {
		if m.v.special[ids[c]] {
			continue
		}
		if m.whole && m.v.piece[ids[c]] && c > 0 && !m.v.special[ids[c-1]] {
			continue
		}
		m.starts = append(m.starts, int32(c))
	}
	taken := 0
	// Fisher-Yates, only as far as it is needed.
	for i := 0; i < len(m.starts) && taken < want; i++ {
		j := i + r.IntN(len(m.starts)-i)
		m.starts[i], m.starts[j] = m.starts[j], m.starts[i]
		from := int(m.starts[i])
		to := from + 1
		if m.whole {
			for to < n && m.v.piece[ids[to]] {
				to++
			}
		}
		if taken+to-from > want {
			continue // a word that is over the budget is passed over
		}
		for c := from; c < to; c++ {
			m.chosen[c] = true
		}
		taken += to - from
	}
	m.columns = m.columns[:0]
	for c := range n {
		if m.chosen[c] {
			m.columns = append(m.columns, int32(c))
		}
	}
	return m.columns
}

// replacement draws the replacement of a masked token: [MASK] in 80%, a random word
// in 10%, itself in 10% of the cases.
func (m *masker) replacement(original int64, r *rng.Source) int64 {
	switch k := r.IntN(10); {
	case k < 8:
		return int64(m.v.mask)
	case k == 8:
		return int64(m.v.words[r.IntN(len(m.v.words))])
	default:
		return original
	}
}
