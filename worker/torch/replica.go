//go:build cgo

package torch

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica"
)

// Replica holds the vectors of a replica as tensors, on the device of its weights. It is a
// replica.Device: every bit is what package replica computes from the same gradients, on a CPU
// and on a GPU.
type Replica struct {
	rule   replica.Rule
	handle C.gramme_replica
	keeps  []*ts.Tensor
}

// NewReplica returns a replica that updates weights in place, by gradients that it reads from
// gradient: both flat f32 tensors of the rule's layout on one device, which outlive it. Moments
// and sum are zero.
func NewReplica(r replica.Rule, weights, gradient *ts.Tensor) (*Replica, error) {
	units := replica.NormUnits(r.Layout)
	x := &Replica{rule: r, keeps: []*ts.Tensor{weights, gradient}}
	var pin runtime.Pinner
	defer pin.Unpin()
	var offsets, lengths, begins, ends []int64
	for _, t := range r.Layout.Tensors {
		offsets, lengths = append(offsets, int64(t.Offset)), append(lengths, int64(t.Len))
	}
	for _, u := range units {
		begins, ends = append(begins, int64(u.From)), append(ends, int64(u.To))
	}
	m := C.gramme_replica_new(C.gramme_replica_shape{
		total: C.int64_t(r.Layout.Total), tensors: C.int64_t(len(offsets)), offsets: pinned(&pin, offsets), lengths: pinned(&pin, lengths),
		units: C.int64_t(len(units)), lanes: vector.Lanes, unit_begins: pinned(&pin, begins), unit_ends: pinned(&pin, ends),
		floats: integer(r.Reduce == replica.Float),
	}, handle(weights), handle(gradient), &x.handle)
	if m != nil {
		return nil, failed("make replica", m)
	}
	return x, nil
}

// pinned returns the address of integers inside of a struct that C gets.
func pinned(pin *runtime.Pinner, v []int64) *C.int64_t {
	p := unsafe.SliceData(v)
	if p != nil {
		pin.Pin(p)
	}
	return (*C.int64_t)(p)
}

// Close frees moments and sum.
func (x *Replica) Close() {
	C.gramme_replica_free(x.handle)
	x.handle = nil
}

// Words returns memory of the host that a GPU copies to and from by itself. Close frees it.
func (x *Replica) Words(n int) ([]int32, error) {
	var words *C.int32_t
	if m := C.gramme_replica_words(x.handle, C.int64_t(n), &words); m != nil {
		return nil, failed("words of the host", m)
	}
	return unsafe.Slice((*int32)(words), n), nil
}

// Reset empties the sum.
func (x *Replica) Reset() error {
	defer keep(x.keeps...)
	return failed("empty the sum", C.gramme_replica_reset(x.handle))
}

// Add adds the gradient to the sum.
func (x *Replica) Add(scales []float32, limit int32) (replica.Rounded, error) {
	defer keep(x.keeps...)
	n := len(x.rule.Layout.Tensors)
	got := replica.Rounded{Largest: make([]float32, n), Clamped: make([]int64, n)}
	var infinite C.int
	m := C.gramme_replica_add(x.handle, floats(scales), C.int32_t(limit), floats(got.Largest), (*C.int64_t)(unsafe.SliceData(got.Clamped)), &infinite)
	got.Infinite = infinite != 0
	return got, failed("add gradient", m)
}

// ReadSum copies the sum to words.
func (x *Replica) ReadSum(words []int32) error {
	return failed("read sum", C.gramme_replica_read_sum(x.handle, (*C.int32_t)(unsafe.SliceData(words))))
}

// LoadEntry takes the gradient's words of an entry.
func (x *Replica) LoadEntry(words []int32) error {
	return failed("load entry", C.gramme_replica_load_entry(x.handle, (*C.int32_t)(unsafe.SliceData(words))))
}

// Squares adds the squares of the entry's words.
func (x *Replica) Squares(lanes []float64) error {
	return failed("add squares", C.gramme_replica_squares(x.handle, (*C.double)(unsafe.SliceData(lanes))))
}

// Update changes weights and moments by the entry.
func (x *Replica) Update(p vector.AdamW, quanta []float64, decays []float32) error {
	defer keep(x.keeps...)
	c := C.gramme_adamw{
		beta1: C.float(p.Beta1), beta2: C.float(p.Beta2), rest1: C.float(p.Rest1), rest2: C.float(p.Rest2),
		correct1: C.float(p.Correct1), correct2: C.float(p.Correct2), epsilon: C.float(p.Epsilon), rate: C.float(p.Rate), clip: C.float(p.Clip),
	}
	return failed("update", C.gramme_replica_update(x.handle, c, (*C.double)(unsafe.SliceData(quanta)), floats(decays)))
}

// Read copies weights and moments from the device.
func (x *Replica) Read(weights, moment1, moment2 []float32) error {
	defer keep(x.keeps...)
	return failed("read state", C.gramme_replica_read(x.handle, floats(weights), floats(moment1), floats(moment2)))
}

// Write copies weights and moments to the device.
func (x *Replica) Write(weights, moment1, moment2 []float32) error {
	defer keep(x.keeps...)
	return failed("write state", C.gramme_replica_write(x.handle, floats(weights), floats(moment1), floats(moment2)))
}

func floats(v []float32) *C.float { return (*C.float)(unsafe.SliceData(v)) }
