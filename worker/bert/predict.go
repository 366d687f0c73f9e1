//go:build cgo

package bert

import (
	"fmt"

	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/worker/torch"
)

// Logits are what the two pretraining heads answer.
type Logits struct {
	Masked [][]float32  // [positions][vocabulary]
	Next   [][2]float32 // [rows]: B follows A, B is random
}

// PredictMasked answers for rows sequences of seq tokens: ids, segments and
// mask (1 where a token stands) of shape [rows, seq], at the flat positions
// row*seq + column. Without dropout.
func (m *Model) PredictMasked(ids, types, mask []int64, rows, seq int, positions []int64) (Logits, error) {
	in := inputs{rows, seq, ids, types, mask, positions}
	var out Logits
	err := m.checkInputs(in)
	if err == nil {
		err = torch.WithoutGrad(func() error { return m.predict(in, &out) })
	}
	if err != nil {
		return Logits{}, fmt.Errorf("predict: %w", err)
	}
	return out, nil
}

func (m *Model) predict(in inputs, out *Logits) (err error) {
	var s scope
	defer s.close(&err)
	mlm, nsp, err := m.logits(&s, in, false)
	if err != nil {
		return err
	}
	words, err := m.toHost(&s, mlm, len(in.positions)*m.cfg.VocabSize)
	if err != nil {
		return err
	}
	next, err := m.toHost(&s, nsp, 2*in.rows)
	if err != nil {
		return err
	}
	for v := m.cfg.VocabSize; len(words) > 0; words = words[v:] {
		out.Masked = append(out.Masked, words[:v:v])
	}
	for ; len(next) > 0; next = next[2:] {
		out.Next = append(out.Next, [2]float32(next))
	}
	return nil
}

// toHost copies the n elements of a tensor out of libtorch's memory.
func (m *Model) toHost(s *scope, t *ts.Tensor, n int) ([]float32, error) {
	host, err := torch.NewFloats(n)
	if err != nil {
		return nil, err
	}
	s.keep(host)
	flat, err := t.View([]int64{int64(n)}, false)
	if err != nil {
		return nil, err
	}
	s.keep(flat)
	if err := torch.Copy(host, flat); err != nil {
		return nil, err
	}
	values, err := torch.Floats(host)
	if err != nil {
		return nil, err
	}
	return append([]float32(nil), values...), nil
}
