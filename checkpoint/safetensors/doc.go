// Package safetensors reads and writes the file format of Hugging Face's
// safetensors: the length of a JSON header, the header, and the tensors.
//
// It guarantees that the same tensors in the same order give the same bytes; that
// a header which Read accepts describes the whole file, with no hole, no overlap
// and nothing behind it, as the reference implementation demands; and that a
// malformed file gives an error and never a large allocation.
//
// It knows names, types, shapes and places, not what the numbers mean. It does
// not verify the content: a checkpoint's manifest does.
package safetensors
