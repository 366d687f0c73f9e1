package number

import (
	"encoding/json"
	"math"
	"testing"
)

// A document with numbers that are not finite is written, and read back as it was.
func TestJSON(t *testing.T) {
	type document struct {
		Loss    Float            `json:"loss"`
		Energy  Float            `json:"energy,omitempty"`
		Rate    Optional         `json:"rate"`
		Watts   Optional         `json:"watts,omitzero"`
		ByPhase map[string]Float `json:"by_phase,omitempty"`
	}
	for _, c := range []struct {
		d    document
		text string
	}{
		{document{}, `{"loss":0,"rate":null}`},
		{document{Loss: 1.5, Energy: 1e-9, Rate: Known(0), Watts: Known(12)}, `{"loss":1.5,"energy":1e-9,"rate":0,"watts":12}`},
		{document{Loss: Float(math.NaN()), Rate: Known(math.Inf(1)), Watts: Known(math.NaN())}, `{"loss":"NaN","rate":"Infinity","watts":"NaN"}`},
		{document{Loss: Float(math.Inf(-1)), ByPhase: map[string]Float{"idle": Float(math.Inf(1))}}, `{"loss":"-Infinity","rate":null,"by_phase":{"idle":"Infinity"}}`},
	} {
		b, err := json.Marshal(c.d)
		if err != nil || string(b) != c.text {
			t.Fatalf("%s, %v, want %s", b, err, c.text)
		}
		var back document
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != c.text {
			t.Errorf("%s came back as %s, %v", c.text, again, err)
		}
	}
}

// A finite number looks as a plain one does: what was written before reads the same.
func TestLooksAsPlainNumbersDo(t *testing.T) {
	for _, v := range []float64{0, 1, -1, 0.1, 1e21, 1e-7, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		plain, _ := json.Marshal(v)
		ours, err := json.Marshal(Float(v))
		if err != nil || string(ours) != string(plain) {
			t.Errorf("%s, %v, want %s", ours, err, plain)
		}
	}
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	for _, text := range []string{`"nan"`, `"1"`, `{}`, `[]`, `true`, `1e999`} {
		var f Float
		var o Optional
		if json.Unmarshal([]byte(text), &f) == nil || json.Unmarshal([]byte(text), &o) == nil {
			t.Errorf("%s is taken for a number", text)
		}
	}
}

func TestOptional(t *testing.T) {
	if v, known := Positive(0).Get(); known || v != 0 {
		t.Error("0 counts as measured")
	}
	if v := Positive(3).Or(7); v != 3 {
		t.Errorf("%g, want 3", v)
	}
	if v := (Optional{}).Or(7); v != 7 {
		t.Errorf("%g, want 7", v)
	}
	if v, known := Positive(math.NaN()).Get(); !known || !math.IsNaN(v) {
		t.Error("NaN is lost")
	}
}
