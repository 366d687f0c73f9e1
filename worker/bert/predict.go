//go:build cgo

package bert

import (
	"fmt"

	"github.com/gramme-project/gramme/worker/torch"
)

// PredictMasked returns the logits of both heads, without dropout, for rows
// sequences of seq tokens: ids, segments and mask (1 at each token) of
// shape [rows, seq]. masked has those over the vocabulary at each of the flat
// positions row*seq + column, next those of each row (B follows A, B is random).
func (m *Model) PredictMasked(ids, types, mask []int64, rows, seq int, positions []int64) (masked [][]float32, next [][2]float32, err error) {
	in := inputs{rows, seq, ids, types, mask, positions}
	if err = m.checkInputs(in); err == nil {
		err = torch.WithoutGrad(func() (err error) {
			masked, next, err = m.predict(in)
			return err
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("predict: %w", err)
	}
	return masked, next, nil
}

func (m *Model) predict(in inputs) (masked [][]float32, next [][2]float32, err error) {
	var s scope
	defer s.close(&err)
	mlm, nsp, err := m.logits(&s, in, false)
	if err != nil {
		return nil, nil, err
	}
	words, err := torch.ToHost(mlm, len(in.positions)*m.cfg.VocabSize)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := torch.ToHost(nsp, 2*in.rows)
	if err != nil {
		return nil, nil, err
	}
	for v := m.cfg.VocabSize; len(words) > 0; words = words[v:] {
		masked = append(masked, words[:v:v])
	}
	for ; len(pairs) > 0; pairs = pairs[2:] {
		next = append(next, [2]float32(pairs))
	}
	return masked, next, nil
}
