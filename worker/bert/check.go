//go:build cgo

package bert

import (
	"errors"
	"fmt"
	"math"

	"github.com/gramme-project/gramme/shard/sampler"
)

var errClosed = errors.New("the model is closed")

func (m *Model) closed() bool { return m.weights == nil }

// check refuses batches that would read outside a tensor: libtorch does not
// check every index.
func (m *Model) check(b sampler.Batch) error {
	in := inputs{b.Rows, b.Seq, b.IDs, b.Types, b.Mask, b.Positions}
	if err := m.checkInputs(in); err != nil {
		return err
	}
	if len(b.Labels) != len(b.Positions) {
		return fmt.Errorf("batch: %d labels for %d positions", len(b.Labels), len(b.Positions))
	}
	if len(b.Next) != b.Rows {
		return fmt.Errorf("batch: %d next-sentence labels for %d rows", len(b.Next), b.Rows)
	}
	if err := below("label", b.Labels, m.cfg.VocabSize); err != nil {
		return err
	}
	return below("next-sentence label", b.Next, 2)
}

func (m *Model) checkInputs(in inputs) error {
	if m.closed() {
		return errClosed
	}
	if in.rows < 1 || in.seq < 1 || in.seq > m.cfg.MaxPositions {
		return fmt.Errorf("batch of %d rows × %d tokens: the model takes up to %d tokens", in.rows, in.seq, m.cfg.MaxPositions)
	}
	if in.rows > math.MaxInt/in.seq {
		return fmt.Errorf("batch: %d rows × %d tokens are more than there can be", in.rows, in.seq)
	}
	n := in.rows * in.seq
	for _, f := range []struct {
		name   string
		values []int64
		limit  int
	}{{"token", in.ids, m.cfg.VocabSize}, {"segment", in.types, m.cfg.TypeVocabSize}, {"mask", in.mask, 2}} {
		if len(f.values) != n {
			return fmt.Errorf("batch: %d %ss, want %d × %d", len(f.values), f.name, in.rows, in.seq)
		}
		if err := below(f.name, f.values, f.limit); err != nil {
			return err
		}
	}
	return below("position", in.positions, n)
}

func below(name string, values []int64, limit int) error {
	for i, v := range values {
		if v < 0 || v >= int64(limit) {
			return fmt.Errorf("batch: %s %d at %d: not in [0, %d)", name, v, i, limit)
		}
	}
	return nil
}
