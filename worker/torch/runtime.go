//go:build cgo

package torch

// #include <stdlib.h>
// #include "shim.h"
// #cgo LDFLAGS: -lstdc++ -lc10 -ltorch_cpu -ldl
// #cgo CXXFLAGS: -std=c++17 -O3 -DAT_PER_OPERATOR_HEADERS
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/sugarme/gotch/ts"

	_ "github.com/gramme-project/gramme/worker/torch/gotchhome" // before gotch looks for a home
)

// failed turns a message of the shim into an error that names the operation.
func failed(operation string, message *C.char) error {
	if message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return fmt.Errorf("%s: %s", operation, C.GoString(message))
}

// Version is the version of libtorch that the package was compiled against.
func Version() string { return C.GoString(C.gramme_version()) }

// SetThreads sets how many cores an operation may use. libtorch splits sums by this number,
// so it is one of the inputs that determine the bits of its gradients; those of a
// CPUEncoder do not depend on it.
func SetThreads(n int) error {
	if n < 1 {
		return fmt.Errorf("set threads: %d is not positive", n)
	}
	return failed("set threads", C.gramme_set_threads(C.int(n)))
}

// Threads is the number that SetThreads has set, or else that libtorch chose.
func Threads() int { return int(C.gramme_threads()) }

// KeepMemory tells the C allocator of the process to keep up to 1 GiB of freed memory,
// instead of returning it to the kernel between steps.
func KeepMemory() { C.gramme_keep_memory() }

// Seed sets the generators of every device.
func Seed(seed uint64) error {
	return failed("seed", C.gramme_seed(C.uint64_t(seed)))
}

// LoadCUDA loads the CUDA part of libtorch into the process and asks it for
// deterministic kernels. It must run before the first tensor is made, and once.
func LoadCUDA() error {
	return failed("load CUDA", C.gramme_load_cuda())
}

// WithoutGrad runs f with autograd off on this thread, and restores the setting.
func WithoutGrad(f func() error) error {
	before := C.gramme_set_grad_mode(0)
	defer C.gramme_set_grad_mode(before)
	return f()
}

// Leaf makes parameter a leaf of autograd whose gradient Backward accumulates
// in home, a tensor of the same shape.
func Leaf(parameter, home *ts.Tensor) error {
	defer keep(parameter, home)
	return failed("make leaf", C.gramme_leaf(handle(parameter), handle(home)))
}

// Backward adds the gradients of a scalar loss to their homes.
func Backward(loss *ts.Tensor) error {
	defer keep(loss)
	return failed("backward", C.gramme_backward(handle(loss)))
}

// Copy copies from into to, which has the same shape, across devices.
func Copy(to, from *ts.Tensor) error {
	defer keep(to, from)
	return failed("copy tensor", C.gramme_copy(handle(to), handle(from)))
}

// Wait returns when what was asked of the device of t is done.
func Wait(t *ts.Tensor) error {
	defer keep(t)
	return failed("wait for the device", C.gramme_wait(handle(t)))
}

// Zero fills t with zeros.
func Zero(t *ts.Tensor) error {
	defer keep(t)
	return failed("zero tensor", C.gramme_zero(handle(t)))
}

func handle(t *ts.Tensor) C.gramme_tensor { return C.gramme_tensor(t.Ctensor()) }

// keep is called after the use of a handle: gotch frees a tensor by a finalizer,
// which may run as soon as Go sees no use of the *ts.Tensor any more.
func keep(tensors ...*ts.Tensor) { runtime.KeepAlive(tensors) }

func wrap(t C.gramme_tensor) *ts.Tensor { return ts.FromCtensor(unsafe.Pointer(t)) }

// Ints returns a tensor on the CPU with a copy of values, of shape [len(values)].
func Ints(values []int64) (*ts.Tensor, error) {
	shape := C.int64_t(len(values))
	var out C.gramme_tensor
	if m := C.gramme_from_host(unsafe.Pointer(unsafe.SliceData(values)), &shape, 1, 1, &out); m != nil {
		return nil, failed("make tensor", m)
	}
	return wrap(out), nil
}

// ToHost returns a copy of the n elements of an f32 tensor of any device.
func ToHost(t *ts.Tensor, n int) ([]float32, error) {
	values := make([]float32, n)
	m := C.gramme_to_host(handle(t), (*C.float)(unsafe.SliceData(values)), C.int64_t(n))
	keep(t)
	if m != nil {
		return nil, failed("copy to host", m)
	}
	return values, nil
}

// Floats returns the elements of a contiguous f32 tensor on the CPU as a slice
// that shares its memory, valid until the tensor is dropped.
func Floats(t *ts.Tensor) ([]float32, error) {
	size, err := t.Size()
	if err != nil {
		return nil, fmt.Errorf("view tensor: %w", err)
	}
	n := int64(1)
	for _, d := range size {
		n *= d
	}
	p, err := t.DataPtr()
	if err != nil {
		return nil, fmt.Errorf("view tensor: %w", err)
	}
	return unsafe.Slice((*float32)(p), n), nil
}
