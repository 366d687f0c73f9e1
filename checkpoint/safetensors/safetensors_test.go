package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

func raw(header string, data int) []byte {
	b := make([]byte, 8)
	binary.LittleEndian.PutUint64(b, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func parseBytes(b []byte) (Header, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func TestWhatNewWritesReadReads(t *testing.T) {
	tensors := []Tensor{{Name: "b", Type: F32, Shape: []int64{2, 3}}, {Name: "a\n\"é", Type: BF16, Shape: nil}, {Name: "none", Type: F32, Shape: []int64{0, 4}}}
	h, text, err := New(tensors, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	if len(text)%8 != 0 {
		t.Errorf("the header has %d bytes", len(text))
	}
	file := append(text, make([]byte, h.Bytes-int64(len(text)))...)
	for i := range 6 {
		binary.LittleEndian.PutUint32(file[h.Tensors[0].At+4*int64(i):], math.Float32bits(float32(i)-2.5))
	}
	got, err := parseBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Tensors) != fmt.Sprint(h.Tensors) || got.Metadata["format"] != "pt" {
		t.Errorf("read %+v, wrote %+v", got, h)
	}
	b, ok := got.Find("b")
	to := make([]float32, 4)
	if err := ReadFloats(bytes.NewReader(file), b, 1, to); !ok || err != nil || fmt.Sprint(to) != "[-1.5 -0.5 0.5 1.5]" {
		t.Errorf("elements %v, %v", to, err)
	}
	if err := ReadFloats(bytes.NewReader(file), b, 3, to); err == nil {
		t.Error("elements behind the end were read")
	}
}

// TestSmallestFile compares with the bytes that Python's library writes for
// save({"x": torch.tensor([1.0])}, metadata={"format": "pt"}).
func TestSmallestFile(t *testing.T) {
	_, text, err := New([]Tensor{{Name: "x", Type: F32, Shape: []int64{1}}}, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	want += strings.Repeat(" ", (8-len(want)%8)%8)
	if string(text[8:]) != want || binary.LittleEndian.Uint64(text) != uint64(len(want)) {
		t.Errorf("header %q", text)
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":              {},
		"a length alone":     raw("", 0)[:8],
		"longer than it is":  {255, 255, 255, 255, 0, 0, 0, 0, '{', '}'},
		"a huge length":      {0, 0, 0, 0, 0, 0, 0, 128, '{', '}'},
		"no object":          raw(`[1]`, 0),
		"space before":       raw(` {}`, 0),
		"twice":              raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"a hole":             raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"an overlap":         raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"bytes behind":       raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 5),
		"bytes missing":      raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 3),
		"another size":       raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4),
		"unknown type":       raw(`{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,4]}}`, 4),
		"negative":           raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}`, 0),
		"an overflow":        raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0),
		"metadata no string": raw(`{"__metadata__":{"a":1}}`, 0),
		"text behind":        raw(`{} x`, 0),
		"cut short":          raw(`{"a":{"dtype":"F32"`, 0),
	} {
		if h, err := parseBytes(b); err == nil {
			t.Errorf("%s: read as %+v", name, h)
		}
	}
	if _, err := parseBytes(raw(`{}   `, 0)); err != nil {
		t.Errorf("an empty file with padding: %v", err)
	}
}

func TestHalfPrecision(t *testing.T) {
	for bits, want := range map[uint16]float32{
		0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 5.9604645e-08, 0x03ff: 6.097555e-05, 0x0400: 6.1035156e-05,
		0x3555: 0.33325195, 0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)),
	} {
		if got := half(bits); got != want {
			t.Errorf("%04x is %v, want %v", bits, got, want)
		}
	}
	if got := half(0x7e00); got == got {
		t.Errorf("a NaN is %v", got)
	}
}

func FuzzRead(f *testing.F) {
	_, text, err := New([]Tensor{{Name: "x", Type: F32, Shape: []int64{1, 2}}}, map[string]string{"format": "pt"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(text, make([]byte, 8)...))
	f.Add(raw(`{"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}`, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseBytes(b)
		if err != nil {
			return
		}
		// What is accepted can be written again and says the same.
		again, text, err := New(h.Tensors, h.Metadata)
		if err != nil {
			t.Fatalf("%+v: %v", h, err)
		}
		file := append(text, make([]byte, again.Bytes-int64(len(text)))...)
		back, err := parseBytes(file)
		if err != nil || len(back.Tensors) != len(h.Tensors) {
			t.Fatalf("%+v became %+v: %v", h, back, err)
		}
		for _, x := range h.Tensors {
			if y, ok := back.Find(x.Name); !ok || y.Bytes != x.Bytes {
				t.Fatalf("%+v became %+v", x, y)
			}
		}
	})
}
