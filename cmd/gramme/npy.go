package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// npy is an array in NumPy's format, version 1.0 (numpy.lib.format): little-endian, in C
// order. data is []byte (uint8) or []int32, with as many elements as the shape has.
type npy struct {
	name  string
	data  any
	shape []int
}

// write writes magic, version, and a header that is padded such that the data begins at
// a multiple of 64 bytes; then the data.
func (a npy) write(w io.Writer) error {
	kind := "|u1"
	if _, ok := a.data.([]int32); ok {
		kind = "<i4"
	}
	shape := fmt.Sprintf("%d,", a.shape[0])
	for i, n := range a.shape[1:] {
		shape += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(" %d", n)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", kind, shape)
	const before = 10 // magic, version and length
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	head := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	if _, err := w.Write(append(head, header...)); err != nil {
		return err
	}
	return binary.Write(w, binary.LittleEndian, a.data)
}
