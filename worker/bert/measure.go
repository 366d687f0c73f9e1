//go:build cgo

package bert

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/model"
)

// Speed is what Measure found, in tokens a second.
type Speed struct{ F32, BF16 float64 }

// Best is the precision to prefer: bf16 only where it clearly pays, since f32
// is the more exact.
func (s Speed) Best() string {
	if s.BF16 > 1.1*s.F32 {
		return "bf16"
	}
	return "f32"
}

// Measure compares the two precisions on this machine for micro-batches of
// rows × seq, in about a second. It computes with at most two layers of the
// architecture, enough for the comparison and quick enough for a large model:
// the figures are not those of the whole.
func Measure(cfg model.Config, threads, rows, seq int) (Speed, error) {
	cfg.Layers = min(cfg.Layers, 2)
	l := model.NewLayout(cfg)
	var s Speed
	for _, p := range []struct {
		precision string
		speed     *float64
	}{{"f32", &s.F32}, {"bf16", &s.BF16}} {
		var err error
		if *p.speed, err = measure(cfg, l, Options{Precision: p.precision, Threads: threads}, rows, seq); err != nil {
			return Speed{}, fmt.Errorf("measure %s: %w", p.precision, err)
		}
	}
	return s, nil
}

// measureFor is the time that one precision is measured, after a first batch
// that finds pages and kernels cold.
const measureFor = 400 * time.Millisecond

func measure(cfg model.Config, l model.Layout, o Options, rows, seq int) (speed float64, err error) {
	m, err := New(cfg, l, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	fixedWeights(m.weights, l)
	if err := m.WeightsChanged(); err != nil {
		return 0, err
	}
	if _, err := m.Compute(fixedBatch(cfg, 1, seq), 0); err != nil {
		return 0, err
	}
	b := fixedBatch(cfg, rows, seq)
	begun := time.Now()
	for n := 1; ; n++ {
		if _, err := m.Compute(b, uint64(n)); err != nil {
			return 0, err
		}
		if spent := time.Since(begun); spent >= measureFor {
			return float64(n*rows*seq) / spent.Seconds(), nil
		}
	}
}
