package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	c, err := Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.VocabSize = 1000
	return c
}

// TestLayoutOfBase counts what transformers counts for bert-base-uncased.
func TestLayoutOfBase(t *testing.T) {
	c, err := Preset("base")
	if err != nil {
		t.Fatal(err)
	}
	c.VocabSize = 30522
	l := NewLayout(c)
	if n := l.Parameters(); n != 110_106_428 || len(l.Tensors) != 206 {
		t.Errorf("%d parameters in %d tensors", n, len(l.Tensors))
	}
}

func TestTensorsLieApartAndAligned(t *testing.T) {
	l := NewLayout(testConfig(t))
	end := 0
	for i, x := range l.Tensors {
		if x.Offset%Alignment != 0 || x.Offset < end || x.Offset-end >= Alignment {
			t.Errorf("%s begins at %d, the one before ends at %d", x.Name, x.Offset, end)
		}
		if i > 0 && l.Tensors[i-1].Name >= x.Name {
			t.Errorf("%s is not in order", x.Name)
		}
		found, ok := l.Find(x.Name)
		if !ok || found.Offset != x.Offset {
			t.Errorf("%s is not found", x.Name)
		}
		end = x.Offset + x.Len
	}
	if l.Total < end || l.Total-end >= Alignment {
		t.Errorf("total %d, the last tensor ends at %d", l.Total, end)
	}
	if _, ok := l.Find("cls.predictions.decoder.weight"); ok {
		t.Error("the tied decoder has a place of its own")
	}
}

func TestInitialWeights(t *testing.T) {
	c := testConfig(t)
	c.InitStd, c.PadID = 0.05, 3
	l := NewLayout(c)
	a, b, other := Init(c, l, 1), Init(c, l, 1), Init(c, l, 2)
	if !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Error("the seed does not determine the weights")
	}
	covered := make([]bool, l.Total)
	for _, x := range l.Tensors {
		w := a[x.Offset : x.Offset+x.Len]
		mean, square := 0.0, 0.0
		for i, v := range w {
			covered[x.Offset+i] = true
			mean += float64(v) / float64(len(w))
			square += float64(v) * float64(v) / float64(len(w))
		}
		switch {
		case strings.HasSuffix(x.Name, "LayerNorm.weight"):
			if mean != 1 {
				t.Errorf("%s: mean %v", x.Name, mean)
			}
		case !x.Decay:
			if square != 0 {
				t.Errorf("%s: not zero", x.Name)
			}
		case len(w) > 1000 && (math.Abs(mean) > 0.003 || math.Abs(math.Sqrt(square)-0.05) > 0.003):
			t.Errorf("%s: mean %.4f, deviation %.4f", x.Name, mean, math.Sqrt(square))
		}
	}
	for i, is := range covered {
		if !is && a[i] != 0 {
			t.Errorf("the gap at %d is not zero", i)
		}
	}
	words, _ := l.Find("bert.embeddings.word_embeddings.weight")
	pad := a[words.Offset+3*c.HiddenSize : words.Offset+4*c.HiddenSize]
	if slices.ContainsFunc(pad, func(v float32) bool { return v != 0 }) {
		t.Error("padding has an embedding")
	}
}

// TestSinusoids holds what they are for: the product of two positions depends on
// their distance alone.
func TestSinusoids(t *testing.T) {
	c := testConfig(t)
	c.PositionInit = PositionsSinusoid
	l := NewLayout(c)
	w := Init(c, l, 1)
	x, _ := l.Find(positionTensor)
	at := func(i int) []float32 { return w[x.Offset+i*c.HiddenSize : x.Offset+(i+1)*c.HiddenSize] }
	product := func(i, j int) (sum float64) {
		for k, v := range at(i) {
			sum += float64(v) * float64(at(j)[k])
		}
		return sum
	}
	for _, distance := range []int{0, 1, 7, 50} {
		want := product(0, distance)
		for _, i := range []int{3, 100, 400} {
			if got := product(i, i+distance); math.Abs(got-want) > 1e-4 {
				t.Errorf("positions %d and %d: %v, want %v", i, i+distance, got, want)
			}
		}
	}
	if square := product(9, 9) / float64(c.HiddenSize); math.Abs(math.Sqrt(square)-c.InitStd) > 1e-4 {
		t.Errorf("deviation %v, want %v", math.Sqrt(square), c.InitStd)
	}
}

// TestNeighbours holds what the start is for: of all places the heads of the first
// layer look most at the one before or after theirs.
func TestNeighbours(t *testing.T) {
	c := testConfig(t)
	c.PositionInit = PositionsNeighbours
	l := NewLayout(c)
	w := Init(c, l, 1)
	tensor := func(name string) []float32 {
		x, ok := l.Find(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		return w[x.Offset : x.Offset+x.Len]
	}
	query, key, places := tensor(firstQueryTensor), tensor(firstKeyTensor), tensor(positionTensor)
	size := c.HiddenSize / c.Heads
	project := func(matrix []float32, head, place int) []float64 {
		out := make([]float64, size)
		for i := range out {
			for k := range c.HiddenSize {
				out[i] += float64(matrix[(head*size+i)*c.HiddenSize+k]) * float64(places[place*c.HiddenSize+k])
			}
		}
		return out
	}
	const length = 32
	for head := range c.Heads {
		for place := 1; place < length-1; place++ {
			q := project(query, head, place)
			best, most := -1, math.Inf(-1)
			for other := range length {
				score := 0.0
				for i, v := range project(key, head, other) {
					score += q[i] * v
				}
				if score > most {
					best, most = other, score
				}
			}
			if want := place - 1 + head%2*2; best != want {
				t.Errorf("head %d at %d looks at %d, not at %d", head, place, best, want)
			}
		}
	}
}

func TestHuggingFaceRoundTrip(t *testing.T) {
	c := testConfig(t)
	b, err := c.HF()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseHF(b)
	if err != nil || again != c {
		t.Errorf("%+v became %+v: %v", c, again, err)
	}
	for _, bad := range []string{`{`, `{"model_type":"gpt2"}`, `{"model_type":"bert","position_embedding_type":"relative_key"}`, `{"model_type":"bert","vocab_size":-1}`} {
		if _, err := ParseHF([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestOutputsBeginAtZero: those tensors are zero, and all others as they were.
func TestOutputsBeginAtZero(t *testing.T) {
	c := testConfig(t)
	l := NewLayout(c)
	usual := Init(c, l, 1)
	c.OutputInit = OutputsZero
	got, zero := Init(c, l, 1), 0
	for _, x := range l.Tensors {
		part, before := got[x.Offset:x.Offset+x.Len], usual[x.Offset:x.Offset+x.Len]
		if strings.Contains(x.Name, ".layer.") && strings.HasSuffix(x.Name, "output.dense.weight") {
			zero++
			before = make([]float32, x.Len)
		}
		if !slices.Equal(part, before) {
			t.Errorf("%s differs", x.Name)
		}
	}
	if zero != 2*c.Layers {
		t.Errorf("%d tensors begin at zero in %d layers", zero, c.Layers)
	}
	if c.OutputInit = "other"; c.Validate() == nil {
		t.Error("another start is accepted")
	}
}
