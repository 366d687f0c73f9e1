//go:build cgo

package bert

import "github.com/gramme-project/gramme/internal/replica"

// Sums adds up the measures of many batches, weighting each position and each
// pair alike, which a mean over batches would not.
type Sums struct {
	mlmLoss, nspLoss     float64
	mlmCorrect, mlmCount int
	nspCorrect, nspCount int
	tokens               int
}

// Add adds the measures of one batch.
func (s *Sums) Add(m replica.Measured) {
	s.mlmLoss += m.MLMLoss * float64(m.MLMCount)
	s.nspLoss += m.NSPLoss * float64(m.NSPCount)
	s.mlmCorrect += m.MLMCorrect
	s.mlmCount += m.MLMCount
	s.nspCorrect += m.NSPCorrect
	s.nspCount += m.NSPCount
	s.tokens += m.Tokens
}

// Measured returns the measures of all of them as if they were one batch.
func (s *Sums) Measured() replica.Measured {
	return replica.Measured{
		MLMLoss: s.mlmLoss / float64(max(1, s.mlmCount)), MLMCorrect: s.mlmCorrect, MLMCount: s.mlmCount,
		NSPLoss: s.nspLoss / float64(max(1, s.nspCount)), NSPCorrect: s.nspCorrect, NSPCount: s.nspCount,
		Tokens: s.tokens,
	}
}
