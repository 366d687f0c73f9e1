//go:build cgo

package bert_test

import (
	"math"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/bert"
)

func TestBadBatches(t *testing.T) {
	cfg := small()
	m := open(t, cfg, bert.Options{})
	for _, c := range []struct {
		name   string
		damage func(*sampler.Batch)
		want   string
	}{
		{"no rows", func(b *sampler.Batch) { b.Rows = 0 }, "0 rows × 40 tokens"},
		{"no columns", func(b *sampler.Batch) { b.Seq = 0 }, "4 rows × 0 tokens"},
		{"negative", func(b *sampler.Batch) { b.Rows, b.Seq = -4, -40 }, "-4 rows × -40 tokens"},
		{"too long", func(b *sampler.Batch) { *b = batch(cfg, 1, 4, 49) }, "the model takes up to 48 tokens"},
		{"a product that overflows", func(b *sampler.Batch) {
			*b = sampler.Batch{Rows: 1 << 62, Seq: 4} // 0 modulo 2^64, as many as there are
		}, "4611686018427387904 rows × 4 tokens"},
		{"ids missing", func(b *sampler.Batch) { b.IDs = b.IDs[1:] }, "159 tokens, want 4 × 40"},
		{"segments missing", func(b *sampler.Batch) { b.Types = nil }, "0 segments, want 4 × 40"},
		{"mask too long", func(b *sampler.Batch) { b.Mask = append(b.Mask, 1) }, "161 masks, want 4 × 40"},
		{"labels missing", func(b *sampler.Batch) { b.Labels = b.Labels[1:] }, "labels for"},
		{"next missing", func(b *sampler.Batch) { b.Next = b.Next[1:] }, "3 next-sentence labels for 4 rows"},
		{"id too large", func(b *sampler.Batch) { b.IDs[3] = 211 }, "token 211 at 3: not in [0, 211)"},
		{"id below 0", func(b *sampler.Batch) { b.IDs[3] = -1 }, "token -1 at 3"},
		{"segment too large", func(b *sampler.Batch) { b.Types[159] = 2 }, "segment 2 at 159"},
		{"mask of 2", func(b *sampler.Batch) { b.Mask[1] = 2 }, "mask 2 at 1"},
		{"position too large", func(b *sampler.Batch) { b.Positions[0] = 160 }, "position 160 at 0"},
		{"position below 0", func(b *sampler.Batch) { b.Positions[0] = -160 }, "position -160 at 0"},
		{"label too large", func(b *sampler.Batch) { b.Labels[2] = 211 }, "label 211 at 2"},
		{"label that is ignored", func(b *sampler.Batch) { b.Labels[2] = -100 }, "label -100 at 2"},
		{"next too large", func(b *sampler.Batch) { b.Next[0] = 2 }, "next-sentence label 2 at 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := batch(cfg, 1, 4, 40)
			c.damage(&b)
			for operation, f := range map[string]func() error{
				"compute gradient": func() error { _, err := m.Compute(b, 1); return err },
				"evaluate":         func() error { _, err := m.Evaluate(b); return err },
			} {
				err := f()
				if err == nil {
					t.Fatalf("%s: no error", operation)
				}
				if s := err.Error(); !strings.HasPrefix(s, operation+": ") || !strings.Contains(s, c.want) {
					t.Errorf("error %q, want %q and %q", s, operation, c.want)
				}
			}
		})
	}
	b := batch(cfg, 1, 4, 40)
	_, _, err := m.PredictMasked(b.IDs, b.Types, b.Mask, 4, 40, []int64{160})
	if err == nil || !strings.HasPrefix(err.Error(), "predict: ") {
		t.Errorf("predict at 160: error %v", err)
	}
	compute(t, m, b, 1) // all this has left the model in order
}

func TestBadModels(t *testing.T) {
	cfg := small()
	layout := model.NewLayout(cfg)
	invalid := cfg
	invalid.Heads = 5
	renamed := layout
	renamed.Tensors = append([]model.Tensor(nil), layout.Tensors...)
	renamed.Tensors[3].Name += "x"
	for _, c := range []struct {
		name    string
		cfg     model.Config
		layout  model.Layout
		options bert.Options
		want    string
	}{
		{"heads", invalid, layout, bert.Options{}, "heads"},
		{"another layout", cfg, model.Layout{Total: 3}, bert.Options{}, "layout of 3 elements"},
		{"another name", cfg, renamed, bert.Options{}, "layout without " + layout.Tensors[3].Name},
		{"precision", cfg, layout, bert.Options{Precision: "f64"}, `precision "f64"`},
		{"device", cfg, layout, bert.Options{Device: "tpu"}, `device "tpu"`},
		{"threads", cfg, layout, bert.Options{Threads: -1}, "-1 threads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := bert.New(c.cfg, c.layout, c.options)
			if err == nil {
				t.Fatal("no error")
			}
			if s := err.Error(); !strings.HasPrefix(s, "make model: ") || !strings.Contains(s, c.want) {
				t.Errorf("error %q, want %q", s, c.want)
			}
			if m != nil {
				t.Error("a model beside the error")
			}
		})
	}
}

func TestClosedModel(t *testing.T) {
	m := open(t, small(), bert.Options{})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	b := batch(small(), 1, 4, 40)
	for name, f := range map[string]func() error{
		"Compute":        func() error { _, err := m.Compute(b, 1); return err },
		"Evaluate":       func() error { _, err := m.Evaluate(b); return err },
		"WeightsChanged": m.WeightsChanged,
		"Fingerprint":    func() error { _, err := bert.Fingerprint(m); return err },
		"PredictMasked": func() error {
			_, _, err := m.PredictMasked(b.IDs, b.Types, b.Mask, b.Rows, b.Seq, b.Positions)
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s of a closed model: error %v", name, err)
		}
	}
}

// A diverged model is for the run to judge: it is measured, not refused.
func TestWeightsThatAreNotNumbers(t *testing.T) {
	m := open(t, small(), bert.Options{})
	for i := range m.Weights() {
		m.Weights()[i] = float32(math.NaN())
	}
	measured, err := m.Compute(batch(small(), 1, 4, 40), 1)
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(measured.MLMLoss) || !math.IsNaN(measured.NSPLoss) {
		t.Errorf("measured %+v", measured)
	}
}
