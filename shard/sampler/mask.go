package sampler

import (
	"math"

	"github.com/gramme-project/gramme/internal/rng"
)

// masker draws the masked positions of one row. It is scratch space; the result depends
// only on the row and the random stream.
type masker struct {
	v              *Vocabulary
	prob           float64
	maxPredictions int
	wholeWord      bool
	candidates     []int32 // candidates: columns, or the first columns of words
	chosen         []bool  // by column
	columns        []int32
}

// drawPositions draws the columns of ids[:n] to predict, ascending; the result is valid
// until the next call. Their number is min(maxPredictions, max(1, round(n*prob))), n
// including [CLS] and [SEP], or less if there are fewer candidates: special tokens are
// none.
func (m *masker) drawPositions(ids []int64, n int, r *rng.Source) []int32 {
	want := min(m.maxPredictions, max(1, int(math.RoundToEven(float64(n)*m.prob))))
	m.candidates = m.candidates[:0]
	m.chosen = append(m.chosen[:0], make([]bool, n)...)
	for c := range n {
		if m.v.special[ids[c]] {
			continue
		}
		if m.wholeWord && m.v.piece[ids[c]] && c > 0 && !m.v.special[ids[c-1]] {
			continue
		}
		m.candidates = append(m.candidates, int32(c))
	}
	taken := 0
	// Fisher-Yates, as far as needed.
	for i := 0; i < len(m.candidates) && taken < want; i++ {
		j := i + r.IntN(len(m.candidates)-i)
		m.candidates[i], m.candidates[j] = m.candidates[j], m.candidates[i]
		from := int(m.candidates[i])
		to := from + 1
		if m.wholeWord {
			for to < n && m.v.piece[ids[to]] {
				to++
			}
		}
		if taken+to-from > want {
			continue // a word that exceeds the budget is skipped
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

// drawReplacement draws the replacement of a masked token: [MASK] in 80%, a random word in
// 10%, the token itself in 10% of the cases.
func (m *masker) drawReplacement(original int64, r *rng.Source) int64 {
	switch k := r.IntN(10); {
	case k < 8:
		return int64(m.v.mask)
	case k == 8:
		return int64(m.v.words[r.IntN(len(m.v.words))])
	default:
		return original
	}
}
