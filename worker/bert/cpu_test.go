//go:build cgo

package bert_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/worker/bert"
)

// openCPU opens a model that hand-written blocks compute, or skips where there are none.
func openCPU(t *testing.T, cfg model.Config, o bert.Options) *bert.Model {
	t.Helper()
	m := open(t, cfg, o)
	if m.Engine() == bert.Autograd {
		t.Skipf("no blocks for %s on this CPU", o.Precision)
	}
	return m
}

// The sizes leave every kind of rest: of rows, of columns, of keys, of the width of a
// head, and of the vocabulary.
func TestBlocksAgreeWithAutograd(t *testing.T) {
	for _, c := range []struct{ hidden, heads, inner, vocab, rows, seq int }{
		{48, 3, 80, 211, 3, 7},
		{64, 1, 64, 64, 1, 1},
		{96, 2, 112, 300, 2, 33},
		{128, 2, 512, 1000, 3, 100},
		{192, 2, 64, 129, 2, 64},
		{64, 2, 128, 500, 2, 200},
		{16, 2, 16, 65, 5, 65},
	} {
		for _, how := range []struct {
			precision, engine string
			bound             float64
		}{{"f32", bert.AVX512, 2e-5}, {"f32", bert.AVX2, 2e-5}, {"bf16", bert.AMX, 0.05}, {"bf16", bert.AVX512, 0.05}} {
			t.Run(fmt.Sprintf("%s%s/%v", how.precision, how.engine, c), func(t *testing.T) {
				cfg := small()
				cfg.HiddenSize, cfg.Heads, cfg.IntermediateSize, cfg.VocabSize, cfg.MaxPositions = c.hidden, c.heads, c.inner, c.vocab, max(c.seq, 48)
				cfg.HiddenDropout, cfg.AttentionDropout = 0, 0
				blocks := openCPU(t, cfg, bert.Options{Precision: how.precision, Engine: how.engine})
				reference := open(t, cfg, bert.Options{Precision: "f32", Engine: bert.Autograd})
				b := batch(cfg, 1, c.rows, c.seq)
				got, err := blocks.Compute(b, 1)
				if err != nil {
					t.Fatal(err)
				}
				want, err := reference.Compute(b, 1)
				if err != nil {
					t.Fatal(err)
				}
				if d := math.Abs(got.MLMLoss-want.MLMLoss) + math.Abs(got.NSPLoss-want.NSPLoss); !(d <= how.bound) {
					t.Errorf("measured %+v, want %+v", got, want)
				}
				if how.precision == "f32" && (got.MLMCorrect != want.MLMCorrect || got.NSPCorrect != want.NSPCorrect) {
					t.Errorf("measured %+v, want %+v", got, want)
				}
				whole := norm(reference.Gradient())
				for _, tensor := range model.NewLayout(cfg).Tensors {
					g, w := blocks.Gradient()[tensor.Offset:tensor.Offset+tensor.Len], reference.Gradient()[tensor.Offset:tensor.Offset+tensor.Len]
					// Relative to the tensor, or to the gradient where that is tiny by its nature.
					difference := apart(g, w) * norm(w)
					if norm(w) == 0 {
						difference = norm(g)
					}
					if bound := how.bound * max(norm(w), whole/1000); !(difference <= bound) {
						t.Errorf("%s: %g apart, want at most %g", tensor.Name, difference, bound)
					}
				}
			})
		}
	}
}

// With dropout, too, the gradient is that of the loss: along a direction it predicts what
// the loss does. Forward and backward draw the same elements then.
func TestGradientOfLossWithDropout(t *testing.T) {
	for _, engine := range []string{bert.AVX512, bert.AVX2} {
		cfg := small()
		cfg.HiddenDropout, cfg.AttentionDropout = 0.3, 0.2
		m := openCPU(t, cfg, bert.Options{Engine: engine})
		b := batch(cfg, 1, 6, 40)
		loss := func() float64 {
			t.Helper()
			if err := m.WeightsChanged(); err != nil {
				t.Fatal(err)
			}
			measured, err := m.Compute(b, 5)
			if err != nil {
				t.Fatal(err)
			}
			return measured.MLMLoss + measured.NSPLoss
		}
		loss()
		gradient := append([]float32(nil), m.Gradient()...)
		weights := append([]float32(nil), m.Weights()...)
		r := rng.New(3)
		for _, tensor := range model.NewLayout(cfg).Tensors {
			// Half of the direction is the gradient's own: a random one would say little.
			part := gradient[tensor.Offset : tensor.Offset+tensor.Len]
			direction, size := make([]float64, tensor.Len), norm(part)/math.Sqrt(float64(tensor.Len))
			predicted, length := 0.0, 0.0
			for i, g := range part {
				direction[i] = float64(g) + size*(2*r.Float64()-1)
				predicted += float64(g) * direction[i]
				length += direction[i] * direction[i]
			}
			if length == 0 || size < 1e-7 { // the bias of a key has no effect
				continue
			}
			step := 0.02 / math.Sqrt(length)
			at := func(sign float64) float64 {
				for i, d := range direction {
					m.Weights()[tensor.Offset+i] = weights[tensor.Offset+i] + float32(sign*step*d)
				}
				return loss()
			}
			measured := (at(1) - at(-1)) / (2 * step)
			copy(m.Weights(), weights)
			if math.Abs(measured-predicted) > 0.02*math.Abs(predicted)+1e-4/step*1e-2 {
				t.Errorf("%s%s: the loss changes by %g, its gradient predicts %g", engine, tensor.Name, measured, predicted)
			}
		}
	}
}

// An architecture of odd sizes is computed by libtorch's operations.
func TestOddSizes(t *testing.T) {
	m := open(t, odd(), bert.Options{})
	if m.Engine() != bert.Autograd {
		t.Errorf("engine %q", m.Engine())
	}
	compute(t, m, batch(odd(), 1, 4, 40), 1)
	if n := norm(m.Gradient()); !(n > 0) {
		t.Errorf("gradient of norm %g", n)
	}
}
