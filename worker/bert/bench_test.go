//go:build cgo

package bert_test

import (
	"fmt"
	"testing"

	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/worker/bert"
)

// BenchmarkCompute measures gradients with dropout on libtorch's own number of
// threads, in tokens a second. The vocabularies are those of a small corpus and
// of bert-base-uncased.
func BenchmarkCompute(b *testing.B) {
	for _, c := range []struct {
		preset    string
		vocab     int
		rows, seq int
	}{
		{"tiny", 8192, 4, 128}, {"tiny", 8192, 8, 64}, {"tiny", 30522, 4, 128}, {"tiny", 8192, 16, 128},
		{"small", 8192, 4, 128}, {"small", 8192, 8, 64}, {"base", 30522, 16, 128},
	} {
		for _, precision := range precisions {
			b.Run(fmt.Sprintf("%s-%d/%dx%d/%s", c.preset, c.vocab, c.rows, c.seq, precision), func(b *testing.B) {
				cfg, err := model.Preset(c.preset)
				if err != nil {
					b.Fatal(err)
				}
				cfg.VocabSize = c.vocab
				m := open(b, cfg, bert.Options{Precision: precision, Device: device()})
				in := batch(cfg, 1, c.rows, c.seq)
				compute(b, m, in, 1)
				seed := uint64(0)
				for b.Loop() {
					seed++
					compute(b, m, in, seed)
				}
				b.ReportMetric(float64(c.rows*c.seq*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
