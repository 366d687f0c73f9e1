package runspec

import (
	"fmt"

	"github.com/gramme-project/gramme/internal/number"
)

// PrecisionChoice is the choice of precision auto, with its reason.
type PrecisionChoice struct {
	Precision string       `json:"precision"`
	F32       number.Float `json:"f32_micro_batches_per_second,omitempty"` // 0: the measurement is not known any more
	BF16      number.Float `json:"bf16_micro_batches_per_second,omitempty"`
}

// ChoosePrecision takes the faster of the measured micro-batches per second. Both
// precisions train as well (scripts/bench quality), and the faster one takes less energy.
func ChoosePrecision(f32, bf16 float64) PrecisionChoice {
	c := PrecisionChoice{PrecisionF32, number.Float(f32), number.Float(bf16)}
	if bf16 > f32 {
		c.Precision = PrecisionBF16
	}
	return c
}

// String describes the choice and its reason.
func (c PrecisionChoice) String() string {
	if c.F32 <= 0 || c.BF16 <= 0 {
		return fmt.Sprintf("precision %s, chosen by a measurement of which the rates were not kept", c.Precision)
	}
	return fmt.Sprintf("precision %s: f32 %.1f, bf16 %.1f micro-batches/s; bf16 has %.2f times the speed of f32",
		c.Precision, float64(c.F32), float64(c.BF16), float64(c.BF16/c.F32))
}

// ReadPrecisionChoice reads the file of WritePrecisionChoice; nil if there is none.
func ReadPrecisionChoice(path string) (*PrecisionChoice, error) {
	c, err := readChoice[PrecisionChoice](path)
	if err == nil && c != nil && c.Precision != PrecisionF32 && c.Precision != PrecisionBF16 {
		return nil, fmt.Errorf("read choice %s: precision %q is none", path, c.Precision)
	}
	return c, err
}

// WritePrecisionChoice keeps a choice in a file.
func WritePrecisionChoice(path string, c PrecisionChoice) error { return writeChoice(path, c) }
