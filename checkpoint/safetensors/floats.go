package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// readPiece is how many bytes ReadFloats converts at a time.
const readPiece = 1 << 20

// ReadFloats reads len(to) elements of a tensor, from element first on, as
// float32. It takes F32, F16 and BF16.
func ReadFloats(r io.ReaderAt, t Tensor, first int64, to []float32) error {
	width := widths[t.Type]
	if first < 0 || (first+int64(len(to)))*width > t.Bytes {
		return fmt.Errorf("read tensor %q: elements %d to %d, it has %d", t.Name, first, first+int64(len(to)), t.Elements())
	}
	var convert func([]byte) float32
	switch t.Type {
	case F32:
		convert = func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	case BF16:
		convert = func(b []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) }
	case F16:
		convert = func(b []byte) float32 { return half(binary.LittleEndian.Uint16(b)) }
	default:
		return fmt.Errorf("read tensor %q: its type is %s, not F32, F16 or BF16", t.Name, t.Type)
	}
	buffer := make([]byte, min(readPiece, int64(len(to))*width))
	at := t.At + first*width
	for len(to) > 0 {
		n := min(len(to), len(buffer)/int(width))
		piece := buffer[:int64(n)*width]
		if _, err := r.ReadAt(piece, at); err != nil {
			return fmt.Errorf("read tensor %q: %w", t.Name, err)
		}
		for i := range n {
			to[i] = convert(piece[int64(i)*width:])
		}
		to, at = to[n:], at+int64(len(piece))
	}
	return nil
}

// half converts IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero and numbers below the normal ones
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
