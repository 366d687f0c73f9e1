// Package vector is the arithmetic over long slices that decides the bits of a run: adding
// words, rounding gradients to integers, sums of squares, and the update of AdamW.
//
// Each function is written twice: as plain Go, which is the reference and runs on every
// machine, and in assembly for AVX2 and AVX-512, chosen by what the processor has. It
// guarantees that all of them give the same bits for every input, at any alignment and
// length. So they use the same operations in the same order, each rounded on its own:
// assembly has no fused multiply-add, and Go's explicit conversions forbid it. Only the
// payload of a NaN where two NaNs meet is left open, as Go leaves it.
//
// It starts no goroutine, allocates nothing, and does not check lengths: slices of one call
// have the length of the first, or more.
//
// The assembly is written by the program in _generate (scripts/kernels).
package vector
