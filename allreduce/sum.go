package allreduce

import (
	"encoding/binary"
	"unsafe"

	"github.com/gramme-project/gramme/internal/vector"
)

// Sum is the type of the words of a vector, and so how they are added.
type Sum int

const (
	// Int32 adds two's complement integers. The caller bounds its words so that
	// the sum over all ranks fits; the order of the ranks then does not matter.
	Int32 Sum = iota
	// Float32 adds words that are the bits of float32. The result depends on the
	// order of the ranks, but is the same on all of them.
	Float32
	// Int16 adds words that are pairs of integers of 16 bits, each on its own, as Int32
	// does.
	Int16
)

func (s Sum) String() string {
	switch s {
	case Int32:
		return "int32"
	case Float32:
		return "float32"
	case Int16:
		return "int16"
	}
	return "unknown"
}

// add sets dst[i] = a[i] + b[i]. The three have the same length; dst may be a.
func (s Sum) add(dst, a, b []int32) {
	switch s {
	case Float32:
		vector.AddFloats(dst, a, b)
	case Int16:
		vector.AddShorts(dst, a, b)
	default:
		vector.AddInts(dst, a, b)
	}
}

// wordBytes views words as little-endian bytes, without a copy: the platforms
// of this software are little-endian.
func wordBytes(w []int32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), 4*len(w))
}

// words views bytes as words where they are aligned, else copies them.
func words(b []byte) []int32 {
	if len(b) < 4 {
		return nil
	}
	if p := unsafe.Pointer(unsafe.SliceData(b)); uintptr(p)%4 == 0 {
		return unsafe.Slice((*int32)(p), len(b)/4)
	}
	w := make([]int32, len(b)/4)
	for i := range w {
		w[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return w
}

// overlap reports whether two slices share memory.
func overlap(a, b []int32) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	pa, pb := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return pa < pb+uintptr(4*len(b)) && pb < pa+uintptr(4*len(a))
}
