package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"unicode/utf8"
)

// maxHeader bounds the header, as the reference implementation does.
const maxHeader = 100_000_000

// Types of elements.
const (
	F32  = "F32"
	F16  = "F16"
	BF16 = "BF16"
)

// widths are the bytes of an element of each type that the format has.
var widths = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
	"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E5M2": 1, "F8_E4M3": 1,
}

// Tensor is one entry of a header.
type Tensor struct {
	Name  string
	Type  string
	Shape []int64
	At    int64 // first byte, from the beginning of the file
	Bytes int64
}

// Elements is the product of the shape.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Header says what a file holds.
type Header struct {
	Tensors  []Tensor // in the order of their places
	Metadata map[string]string
	Bytes    int64 // of the whole file
	byName   map[string]int
}

// Find returns the tensor of a name.
func (h Header) Find(name string) (Tensor, bool) {
	i, ok := h.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// New lays out tensors, of which Name, Type and Shape are given, in their order,
// and returns the header and its bytes, which are the beginning of the file.
func New(tensors []Tensor, metadata map[string]string) (Header, []byte, error) {
	h := Header{Tensors: slices.Clone(tensors), Metadata: metadata, byName: map[string]int{}}
	at := int64(0)
	for i := range h.Tensors {
		t := &h.Tensors[i]
		width, ok := widths[t.Type]
		if !ok {
			return Header{}, nil, fmt.Errorf("lay out tensor %q: unknown type %q", t.Name, t.Type)
		}
		if _, twice := h.byName[t.Name]; twice || t.Name == metadataKey || !utf8.ValidString(t.Name) {
			return Header{}, nil, fmt.Errorf("lay out tensor %q: the name cannot be used, or is used twice", t.Name)
		}
		size, err := sizeOf(t.Shape, width)
		if err != nil {
			return Header{}, nil, fmt.Errorf("lay out tensor %q: %w", t.Name, err)
		}
		h.byName[t.Name] = i
		t.At, t.Bytes = at, size
		at += size
	}
	text, err := h.encode()
	if err != nil {
		return Header{}, nil, err
	}
	start := int64(len(text))
	for i := range h.Tensors {
		h.Tensors[i].At += start
	}
	h.Bytes = start + at
	return h, text, nil
}

// metadataKey is the one name that no tensor can have.
const metadataKey = "__metadata__"

// encode writes the header with places that count from the end of it.
func (h Header) encode() ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteByte('{')
	if len(h.Metadata) > 0 {
		text, err := json.Marshal(h.Metadata) // sorts the keys
		if err != nil {
			return nil, fmt.Errorf("encode safetensors header: %w", err)
		}
		fmt.Fprintf(&b, "%q:%s", metadataKey, text)
	}
	for i, t := range h.Tensors {
		if i > 0 || len(h.Metadata) > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(t.Name)
		if err != nil {
			return nil, fmt.Errorf("encode safetensors header: %w", err)
		}
		text, err := json.Marshal(entry{t.Type, append([]int64{}, t.Shape...), []int64{t.At, t.At + t.Bytes}})
		if err != nil {
			return nil, fmt.Errorf("encode safetensors header: %w", err)
		}
		fmt.Fprintf(&b, "%s:%s", name, text)
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	text := b.Bytes()
	if len(text)-8 > maxHeader {
		return nil, fmt.Errorf("encode safetensors header: %d bytes, the most are %d", len(text)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(text, uint64(len(text)-8))
	return text, nil
}

func sizeOf(shape []int64, width int64) (int64, error) {
	n := width
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return 0, fmt.Errorf("shape %v is no shape", shape)
		}
		n *= d
	}
	return n, nil
}

// Read reads and checks the header of a file of a known size.
func Read(r io.ReaderAt, size int64) (h Header, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read safetensors header: %w", err)
		}
	}()
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return Header{}, fmt.Errorf("a file of %d bytes has none", size)
	}
	if _, err := r.ReadAt(prefix[:], 0); err != nil {
		return Header{}, err
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader || length > uint64(size-8) {
		return Header{}, fmt.Errorf("it says that it has %d bytes, the file has %d and the most are %d", length, size, maxHeader)
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, 8); err != nil {
		return Header{}, err
	}
	if h, err = parse(text); err != nil {
		return Header{}, err
	}
	start := int64(8 + length)
	end := int64(0)
	for i := range h.Tensors {
		t := &h.Tensors[i]
		if t.At != end {
			return Header{}, fmt.Errorf("tensor %q begins at %d, the one before ends at %d", t.Name, t.At, end)
		}
		end += t.Bytes
		t.At += start
	}
	if start+end != size {
		return Header{}, fmt.Errorf("the tensors end at %d, the file at %d", start+end, size)
	}
	h.Bytes = size
	return h, nil
}

// entry is a tensor as the header has it.
type entry struct {
	Type    string  `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// parse reads the JSON token by token: a map would hide a name that is there
// twice.
func parse(text []byte) (Header, error) {
	if len(text) == 0 || text[0] != '{' {
		return Header{}, errors.New("it does not begin with {")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return Header{}, err
	}
	h := Header{byName: map[string]int{}}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return Header{}, err
		}
		name, ok := key.(string)
		if !ok || seen[name] {
			return Header{}, fmt.Errorf("%v occurs twice, or is no name", key)
		}
		seen[name] = true
		if name == metadataKey {
			if err := d.Decode(&h.Metadata); err != nil {
				return Header{}, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		t, err := decodeEntry(d, name)
		if err != nil {
			return Header{}, fmt.Errorf("tensor %q: %w", name, err)
		}
		h.Tensors = append(h.Tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return Header{}, err
	}
	if rest := bytes.TrimRight(text[d.InputOffset():], " "); len(rest) > 0 {
		return Header{}, errors.New("there is data after it")
	}
	sort.SliceStable(h.Tensors, func(a, b int) bool {
		x, y := h.Tensors[a], h.Tensors[b]
		return x.At < y.At || x.At == y.At && x.Bytes < y.Bytes
	})
	for i, t := range h.Tensors {
		h.byName[t.Name] = i
	}
	return h, nil
}

func decodeEntry(d *json.Decoder, name string) (Tensor, error) {
	var e entry
	if err := d.Decode(&e); err != nil {
		return Tensor{}, err
	}
	width, ok := widths[e.Type]
	if !ok {
		return Tensor{}, fmt.Errorf("unknown type %q", e.Type)
	}
	size, err := sizeOf(e.Shape, width)
	if err != nil {
		return Tensor{}, err
	}
	if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1]-e.Offsets[0] != size {
		return Tensor{}, fmt.Errorf("offsets %v do not hold shape %v of %s", e.Offsets, e.Shape, e.Type)
	}
	return Tensor{Name: name, Type: e.Type, Shape: e.Shape, At: e.Offsets[0], Bytes: size}, nil
}
