package runspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/vfs"
)

// bf16Gain is how much faster bf16 must be before it is chosen. A lead that large shows
// in the next measurement, too; a smaller one may be chance.
const bf16Gain = 1.1

// PrecisionChoice is the choice of precision auto, with its reason.
type PrecisionChoice struct {
	Precision string       `json:"precision"`
	F32       number.Float `json:"f32_micro_batches_per_second,omitempty"` // 0: the measurement is not known any more
	BF16      number.Float `json:"bf16_micro_batches_per_second,omitempty"`
}

// ChoosePrecision compares the measured micro-batches per second. Both precisions are fit
// for training; the faster one also takes less energy.
func ChoosePrecision(f32, bf16 float64) PrecisionChoice {
	c := PrecisionChoice{PrecisionF32, number.Float(f32), number.Float(bf16)}
	if bf16 >= bf16Gain*f32 {
		c.Precision = PrecisionBF16
	}
	return c
}

// String describes the choice and its reason.
func (c PrecisionChoice) String() string {
	if c.F32 <= 0 || c.BF16 <= 0 {
		return fmt.Sprintf("precision %s, chosen by a measurement of which the rates were not kept", c.Precision)
	}
	text := fmt.Sprintf("precision %s: f32 %.1f, bf16 %.1f micro-batches/s; bf16 has %.2f times the speed of f32",
		c.Precision, float64(c.F32), float64(c.BF16), float64(c.BF16/c.F32))
	if c.Precision == PrecisionF32 && c.BF16 > c.F32 {
		text += fmt.Sprintf(", and is taken from %.1f times on", bf16Gain)
	}
	return text
}

// ReadPrecisionChoice reads the file of WritePrecisionChoice; nil if there is none.
func ReadPrecisionChoice(path string) (*PrecisionChoice, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read choice of precision: %w", err)
	}
	var c PrecisionChoice
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read choice of precision %s: %w", path, err)
	}
	if c.Precision != PrecisionF32 && c.Precision != PrecisionBF16 {
		return nil, fmt.Errorf("read choice of precision %s: %q is none", path, c.Precision)
	}
	return &c, nil
}

// WritePrecisionChoice keeps a choice in a file.
func WritePrecisionChoice(path string, c PrecisionChoice) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = vfs.WriteFile(vfs.OS{}, path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("store choice of precision: %w", err)
	}
	return nil
}
