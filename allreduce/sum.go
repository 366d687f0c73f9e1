package allreduce

import (
	"encoding/binary"
	"math"
	"unsafe"
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
)

func (s Sum) String() string {
	switch s {
	case Int32:
		return "int32"
	case Float32:
		return "float32"
	}
	return "unknown"
}

// add sets dst[i] = a[i] + b[i]. The three have the same length; dst may be a.
func (s Sum) add(dst, a, b []int32) {
	if s == Float32 {
		addFloats(dst, a, b)
		return
	}
	addInts(dst, a, b)
}

func addInts(dst, a, b []int32) {
	for len(dst) >= 8 && len(a) >= 8 && len(b) >= 8 {
		d, x, y := dst[:8:8], a[:8:8], b[:8:8]
		d[0] = x[0] + y[0]
		d[1] = x[1] + y[1]
		d[2] = x[2] + y[2]
		d[3] = x[3] + y[3]
		d[4] = x[4] + y[4]
		d[5] = x[5] + y[5]
		d[6] = x[6] + y[6]
		d[7] = x[7] + y[7]
		dst, a, b = dst[8:], a[8:], b[8:]
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func addFloats(dst, a, b []int32) {
	for len(dst) >= 4 && len(a) >= 4 && len(b) >= 4 {
		d, x, y := dst[:4:4], a[:4:4], b[:4:4]
		d[0] = addFloat(x[0], y[0])
		d[1] = addFloat(x[1], y[1])
		d[2] = addFloat(x[2], y[2])
		d[3] = addFloat(x[3], y[3])
		dst, a, b = dst[4:], a[4:], b[4:]
	}
	for i := range dst {
		dst[i] = addFloat(a[i], b[i])
	}
}

func addFloat(a, b int32) int32 {
	return int32(math.Float32bits(math.Float32frombits(uint32(a)) + math.Float32frombits(uint32(b))))
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
