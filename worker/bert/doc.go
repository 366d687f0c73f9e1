// Package bert computes gradients of BERT's pretraining (masked words and next
// sentence, arXiv 1810.04805) over one flat buffer of weights and one of
// gradients, laid out by replica/model.
//
// It guarantees that on one kind of machine (instruction set or GPU model, libtorch
// build) a gradient is a pure function of weights, batch and dropout seed: the same
// bits again, after other batches and shapes, and in another process. On a CPU the
// number of threads does not matter either, but for architectures of odd sizes, bf16
// without AVX-512 and CPUs without AVX2, which libtorch's own operations compute
// (Engine). It agrees with Hugging Face's BertForPreTraining to
// rounding, in both activations.
//
// It does not optimize, does not exchange gradients and does not read files. A
// Model is not safe for concurrent use: the caller runs everything, New and
// Close too, on one torch.Thread.
//
// The package needs cgo and libtorch; with CGO_ENABLED=0 it is empty.
package bert
