//go:build cgo

package torch

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// CPUEncoder computes gradients of an encoder with both heads on a CPU, by blocks that
// are written for it: faster than autograd, and with the same bits on any number of
// threads.
type CPUEncoder struct {
	handle   C.gramme_cpu
	pointers unsafe.Pointer // to the weights and gradients
}

// CPUShape is the architecture of a CPUEncoder.
type CPUShape struct {
	Layers, Hidden, Heads, Inner, Vocabulary, Positions, Types, Pad int

	Eps, HiddenDropout, AttentionDropout float64
	TanhGELU, BF16                       bool
	Most                                 InstructionSet // that it may use; 0 is what the CPU has
}

// InstructionSet is one for which a CPUEncoder is written. Each holds the ones before.
type InstructionSet int

// The instruction sets. AMX serves bf16 alone.
const (
	AVX2   InstructionSet = C.gramme_cpu_avx2
	AVX512 InstructionSet = C.gramme_cpu_avx512
	AMX    InstructionSet = C.gramme_cpu_amx
)

// CPUBatch is a micro-batch: IDs, Types and Mask are of shape [Rows, Seq], Labels of as
// many elements as Positions, Next of Rows.
type CPUBatch struct {
	Rows, Seq                                 int
	IDs, Types, Mask, Positions, Labels, Next []int64
}

// NewCPUEncoder returns nil where this CPU or the shape are none that it serves.
// Weights and gradients are pointers to memory outside of Go, that outlives it; embeddings,
// layers and heads follow each other, with the places that Embed, Layer and Heads take.
func NewCPUEncoder(s CPUShape, weights, gradients []unsafe.Pointer) (*CPUEncoder, error) {
	n := len(weights)
	pointers := C.malloc(C.size_t(2*n) * C.size_t(unsafe.Sizeof(uintptr(0))))
	both := unsafe.Slice((*unsafe.Pointer)(pointers), 2*n)
	copy(both, weights)
	copy(both[n:], gradients)
	e := &CPUEncoder{pointers: pointers}
	most := s.Most
	if most == 0 {
		most = AMX
	}
	m := C.gramme_cpu_encoder(C.gramme_cpu_shape{
		layers: C.int64_t(s.Layers), hidden: C.int64_t(s.Hidden), heads: C.int64_t(s.Heads), inner: C.int64_t(s.Inner),
		vocabulary: C.int64_t(s.Vocabulary), positions: C.int64_t(s.Positions), types: C.int64_t(s.Types), pad: C.int64_t(s.Pad),
		eps: C.double(s.Eps), hidden_dropout: C.double(s.HiddenDropout), attention_dropout: C.double(s.AttentionDropout), gelu_tanh: integer(s.TanhGELU), most: C.gramme_cpu_set(most),
	}, integer(s.BF16), (**C.float)(pointers), (**C.float)(unsafe.Add(pointers, n*int(unsafe.Sizeof(uintptr(0))))), &e.handle)
	if m != nil || e.handle == nil {
		C.free(pointers)
		return nil, failed("make encoder", m)
	}
	return e, nil
}

// InstructionSet is the one that the encoder uses.
func (e *CPUEncoder) InstructionSet() InstructionSet {
	return InstructionSet(C.gramme_cpu_set_of(e.handle))
}

// Close frees the encoder.
func (e *CPUEncoder) Close() {
	C.gramme_cpu_free(e.handle)
	C.free(e.pointers)
}

// WeightsChanged takes over the weights as they are now. It comes before the first batch.
func (e *CPUEncoder) WeightsChanged() error {
	return failed("pack weights", C.gramme_cpu_weights_changed(e.handle))
}

// Compute writes the gradients of a micro-batch; without training it only measures it,
// without dropout.
func (e *CPUEncoder) Compute(b CPUBatch, seed uint64, training bool) (Measures, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	ints := func(v []int64) *C.int64_t {
		p := unsafe.SliceData(v)
		if p != nil {
			pin.Pin(p)
		}
		return (*C.int64_t)(p)
	}
	var c C.gramme_measures
	m := C.gramme_cpu_compute(e.handle, C.gramme_cpu_batch{
		rows: C.int64_t(b.Rows), seq: C.int64_t(b.Seq), ids: ints(b.IDs), types: ints(b.Types), mask: ints(b.Mask),
		masked: C.int64_t(len(b.Positions)), positions: ints(b.Positions), labels: ints(b.Labels), next: ints(b.Next),
	}, C.uint64_t(seed), integer(training), &c)
	if m != nil {
		return Measures{}, failed("compute", m)
	}
	return measuresOf(c), nil
}
