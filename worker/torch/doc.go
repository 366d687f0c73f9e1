// Package torch is the small cgo shim beside gotch. It has the operations of libtorch that
// training needs and that gotch lacks, or has in a form that leaks or crashes.
//
// It guarantees that a C++ exception becomes a Go error with the operation's
// name, that no call leaks, and that a seed determines dropout exactly. Tensors
// are gotch's: the shim takes and returns *ts.Tensor, and the receiver drops it.
//
// It does not make libtorch safe for concurrent use. libtorch keeps errors,
// grad mode and its pool of threads per OS thread, so everything that touches a
// tensor runs inside Thread.Do.
//
// The blocks of the encoder (Embed, Layer, Heads, Losses) are one call each
// although gotch has every operation in them: a call through gotch costs 17 µs,
// 100 kB of garbage and 32 bytes that are never freed, of which a step of the
// smallest model would pay a third of its time and a long run gigabytes.
//
// A parameter of the blocks is a Leaf. Its gradient is written straight into the buffer
// that was given to Leaf; a parameter without a buffer gets no gradient. On a CPU the elements
// that dropout drops depend on the seed alone, not on the number of threads.
//
// On a CPU, CPUEncoder computes a whole micro-batch in place of the blocks, forward and
// backward by hand (cpu_*.hpp): products in small blocks, by oneDNN or by the tiles of AMX, and
// what follows a product while its block is in the cache. It is compiled for AVX2, AVX-512 and
// AMX, and chosen when it is made. Every sum is cut by the shapes alone, so its bits do not
// depend on the number of threads, which are those of a pool of its own. The blocks remain
// what a GPU computes with, and what the encoder is tested against.
//
// Replica holds weights, moments and the sum of gradients as tensors, and changes them by the
// arithmetic of packages replica and vector, with the same bits.
//
// The package needs cgo and libtorch (scripts/setup, scripts/env). With CGO_ENABLED=0 only
// this comment is built, so that `go build ./...` works without either.
package torch
