//go:build cgo

package bert_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/safetensors"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/bert"
)

var activations = []string{model.ActivationGELU, model.ActivationGELUNew}

// golden is what scripts/golden/bert.py wrote.
type golden struct {
	t      *testing.T
	data   []byte
	header safetensors.Header
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return golden{t, data, h}
}

func (g golden) find(name string) safetensors.Tensor {
	g.t.Helper()
	tensor, ok := g.header.Find(name)
	if !ok {
		g.t.Fatalf("no %s in the golden file", name)
	}
	return tensor
}

func (g golden) floats(name string) []float32 {
	g.t.Helper()
	tensor := g.find(name)
	values := make([]float32, tensor.Elements())
	if err := safetensors.ReadFloats(bytes.NewReader(g.data), tensor, 0, values); err != nil {
		g.t.Fatal(err)
	}
	return values
}

func (g golden) ints(name string) []int64 {
	g.t.Helper()
	tensor := g.find(name)
	values := make([]int64, tensor.Elements())
	if _, err := binary.Decode(g.data[tensor.At:], binary.LittleEndian, values); err != nil {
		g.t.Fatal(err)
	}
	return values
}

func (g golden) batch() sampler.Batch {
	shape := g.find("ids").Shape
	b := sampler.Batch{
		Rows: int(shape[0]), Seq: int(shape[1]),
		IDs: g.ints("ids"), Types: g.ints("types"), Mask: g.ints("mask"),
		Positions: g.ints("positions"), Labels: g.ints("labels"), Next: g.ints("next"),
	}
	for _, m := range b.Mask {
		b.Tokens += int(m)
	}
	return b
}

// open makes the model of a case, with the golden weights.
func (g golden) open(activation string, o bert.Options) (*bert.Model, model.Layout) {
	g.t.Helper()
	return g.openWith(activation, o, 0)
}

func (g golden) openWith(activation string, o bert.Options, dropout float64) (*bert.Model, model.Layout) {
	g.t.Helper()
	var about struct{ Configs map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(g.header.Metadata["golden"]), &about); err != nil {
		g.t.Fatal(err)
	}
	cfg, err := model.ParseHF(about.Configs[activation])
	if err != nil {
		g.t.Fatal(err)
	}
	cfg.HiddenDropout, cfg.AttentionDropout = dropout, dropout
	layout := model.NewLayout(cfg)
	m := open(g.t, cfg, o)
	clear(m.Weights())
	for _, tensor := range layout.Tensors {
		values := g.floats("weight/" + tensor.Name)
		if len(values) != tensor.Len {
			g.t.Fatalf("%s: %d elements in the golden file, %d in the layout", tensor.Name, len(values), tensor.Len)
		}
		copy(m.Weights()[tensor.Offset:], values)
	}
	if err := m.WeightsChanged(); err != nil {
		g.t.Fatal(err)
	}
	return m, layout
}

func (g golden) near(what string, got, want []float32, bound float64) {
	g.t.Helper()
	if d := apart(got, want); !(d <= bound) {
		g.t.Errorf("%s: relative difference %.2e from Hugging Face, want at most %g", what, d, bound)
	}
}

func TestAgreesWithHuggingFace(t *testing.T) {
	for _, how := range []struct {
		precision, engine string
		bound             float64
	}{{"f32", "", 1e-4}, {"f32", bert.AVX2, 1e-4}, {"f32", bert.Autograd, 1e-4}, {"bf16", "", 0.05}, {"bf16", bert.AVX512, 0.05}, {"bf16", bert.Autograd, 0.05}} {
		for _, activation := range activations {
			o := bert.Options{Precision: how.precision, Engine: how.engine, Device: device()}
			name := how.precision + how.engine + "/" + activation
			t.Run(name, func(t *testing.T) { agrees(t, activation, o, how.bound, 0) })
			// Dropout takes another way through attention; at this rate it drops
			// nothing.
			t.Run(name+"/dropout", func(t *testing.T) { agrees(t, activation, o, how.bound, 1e-12) })
		}
	}
}

func agrees(t *testing.T, activation string, o bert.Options, bound, dropout float64) {
	g := readGolden(t)
	m, layout := g.openWith(activation, o, dropout)
	b := g.batch()

	masked, next, err := m.PredictMasked(b.IDs, b.Types, b.Mask, b.Rows, b.Seq, b.Positions)
	if err != nil {
		t.Fatal(err)
	}
	var words, pairs []float32
	for _, l := range masked {
		words = append(words, l...)
	}
	for _, l := range next {
		pairs = append(pairs, l[:]...)
	}
	g.near("MLM logits", words, g.floats(activation+"/mlm"), bound)
	g.near("NSP logits", pairs, g.floats(activation+"/nsp"), bound)

	evaluated, err := m.Evaluate(b)
	if err != nil {
		t.Fatal(err)
	}
	measured, err := m.Compute(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if dropout == 0 && evaluated != measured {
		t.Errorf("without dropout Evaluate measures %+v and Compute %+v", evaluated, measured)
	}
	g.near("MLM loss", []float32{float32(measured.MLMLoss)}, g.floats(activation+"/mlm_loss"), bound)
	g.near("NSP loss", []float32{float32(measured.NSPLoss)}, g.floats(activation+"/nsp_loss"), bound)
	if measured.MLMCount != len(b.Positions) || measured.NSPCount != b.Rows || measured.Tokens != b.Tokens {
		t.Errorf("measured %+v of %d positions, %d rows and %d tokens", measured, len(b.Positions), b.Rows, b.Tokens)
	}
	if correct := right(words, b.Labels); o.Precision == "f32" && measured.MLMCorrect != correct {
		t.Errorf("%d right words, the logits say %d", measured.MLMCorrect, correct)
	}
	if correct := right(pairs, b.Next); o.Precision == "f32" && measured.NSPCorrect != correct {
		t.Errorf("%d right pairs, the logits say %d", measured.NSPCorrect, correct)
	}

	whole, worst := norm(m.Gradient()), 0.0
	for _, tensor := range layout.Tensors {
		got := m.Gradient()[tensor.Offset : tensor.Offset+tensor.Len]
		want := g.floats(activation + "/gradient/" + tensor.Name)
		if strings.HasSuffix(tensor.Name, "key.bias") {
			// A key's bias adds the same to all scores of a query, so that its
			// gradient is 0 but for rounding, and relative to nothing.
			if n := norm(got); n > bound*whole/100 {
				t.Errorf("gradient of %s has norm %g, want about 0", tensor.Name, n)
			}
			continue
		}
		worst = max(worst, apart(got, want))
		g.near("gradient of "+tensor.Name, got, want, bound)
	}
	t.Logf("gradients within %.1e of Hugging Face, MLM logits %.1e", worst, apart(words, g.floats(activation+"/mlm")))
}

// right counts the rows of logits whose largest is at the label.
func right(logits []float32, labels []int64) int {
	n, width := 0, len(logits)/len(labels)
	for i, label := range labels {
		best := 0
		for k, v := range logits[i*width : (i+1)*width] {
			if v > logits[i*width+best] {
				best = k
			}
		}
		if int64(best) == label {
			n++
		}
	}
	return n
}

// What stands under padding must not matter.
func TestPaddingIsNotSeen(t *testing.T) {
	for _, precision := range []string{"f32", "bf16"} {
		t.Run(precision, func(t *testing.T) {
			g := readGolden(t)
			m, _ := g.open(model.ActivationGELU, bert.Options{Precision: precision, Device: device()})
			b := g.batch()
			clean, err := m.Compute(b, 1)
			if err != nil {
				t.Fatal(err)
			}
			gradient := append([]float32(nil), m.Gradient()...)
			for i, on := range b.Mask {
				if on == 0 {
					b.IDs[i], b.Types[i] = int64(i*31%97), int64(i%2)
				}
			}
			garbage, err := m.Compute(b, 1)
			if err != nil {
				t.Fatal(err)
			}
			if clean != garbage {
				t.Errorf("with other ids under padding: %+v, before %+v", garbage, clean)
			}
			for i, v := range m.Gradient() {
				if v != gradient[i] { // not the bits: zero has two signs
					t.Fatalf("with other ids under padding element %d of the gradient is %g, before %g", i, v, gradient[i])
				}
			}
		})
	}
}

// A row of padding alone makes no sense, and no NaN either.
func TestRowWithoutTokens(t *testing.T) {
	m := open(t, small(), bert.Options{Device: device()})
	b := batch(small(), 1, 3, 20)
	clear(b.Mask[20:40])
	measured, err := m.Compute(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := norm(m.Gradient()); math.IsNaN(n) || math.IsInf(n, 0) || math.IsNaN(measured.MLMLoss) {
		t.Errorf("gradient of norm %g, measured %+v", n, measured)
	}
}

func TestWithoutMaskedPositions(t *testing.T) {
	m := open(t, small(), bert.Options{Device: device()})
	b := batch(small(), 1, 3, 20)
	b.Positions, b.Labels = nil, nil
	measured, err := m.Compute(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if measured.MLMLoss != 0 || measured.MLMCount != 0 || !(measured.NSPLoss > 0) {
		t.Errorf("measured %+v", measured)
	}
	if n := norm(m.Gradient()); !(n > 0) || math.IsInf(n, 0) {
		t.Errorf("gradient of norm %g", n)
	}
	masked, next, err := m.PredictMasked(b.IDs, b.Types, b.Mask, b.Rows, b.Seq, nil)
	if err != nil || len(masked) != 0 || len(next) != b.Rows {
		t.Errorf("predicted %d words and %d pairs, error %v", len(masked), len(next), err)
	}
}
