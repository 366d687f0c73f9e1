package runspec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChoosePrecision(t *testing.T) {
	for _, c := range []struct {
		f32, bf16    float64
		want, reason string
	}{
		{10, 40, PrecisionBF16, "bf16 has 4.00 times the speed of f32"},
		{10, 12.9, PrecisionBF16, "f32 10.0, bf16 12.9 micro-batches/s; bf16 has 1.29 times the speed of f32"},
		{10, 10.2, PrecisionBF16, "1.02 times"},
		{10, 10, PrecisionF32, "1.00 times"},
		{10, 2, PrecisionF32, "0.20 times the speed of f32"},
	} {
		got := ChoosePrecision(c.f32, c.bf16)
		if got.Precision != c.want || !strings.Contains(got.String(), "precision "+c.want+": ") || !strings.Contains(got.String(), c.reason) {
			t.Errorf("%s, want %s with %q", got, c.want, c.reason)
		}
		path := filepath.Join(t.TempDir(), "precision.json")
		if err := WritePrecisionChoice(path, got); err != nil {
			t.Fatal(err)
		}
		if back, err := ReadPrecisionChoice(path); err != nil || *back != got {
			t.Errorf("%+v came back as %+v, %v", got, back, err)
		}
	}
}

func TestAPrecisionChoiceThatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precision.json")
	if c, err := ReadPrecisionChoice(path); c != nil || err != nil {
		t.Errorf("%v, %v of no file", c, err)
	}
	for _, text := range []string{"", "f32\n", "{}", `{"precision":"f64"}`} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := ReadPrecisionChoice(path); err == nil {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
	if text := (PrecisionChoice{Precision: PrecisionF32}).String(); strings.Contains(text, "0.0") {
		t.Errorf("rates that are not known: %s", text)
	}
}
