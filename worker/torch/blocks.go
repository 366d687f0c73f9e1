//go:build cgo

package torch

// #include "shim.h"
import "C"

import "github.com/sugarme/gotch/ts"

// Shape is what the blocks of an encoder must know beside their tensors.
// Activations are [Rows*Seq, hidden].
type Shape struct {
	Rows, Seq, Heads                int
	Eps                             float64
	HiddenDropout, AttentionDropout float64
	TanhGELU                        bool // the tanh approximation instead of erf
	BF16                            bool // matrix products in bf16, sums of layer norm and loss in f32
	Training                        bool // dropout
}

func (s Shape) c() C.gramme_shape {
	return C.gramme_shape{
		rows: C.int64_t(s.Rows), seq: C.int64_t(s.Seq), heads: C.int64_t(s.Heads),
		eps: C.double(s.Eps), hidden_dropout: C.double(s.HiddenDropout), attention_dropout: C.double(s.AttentionDropout),
		gelu_tanh: integer(s.TanhGELU), bf16: integer(s.BF16), training: integer(s.Training),
	}
}

func integer(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func handles(list []*ts.Tensor) *C.gramme_tensor {
	h := make([]C.gramme_tensor, len(list))
	for i, t := range list {
		h[i] = handle(t)
	}
	return &h[0]
}

// Mask turns the attention mask, 1 where a token stands, of Rows*Seq elements,
// into what Layer adds to the scores.
func Mask(mask *ts.Tensor, s Shape) (*ts.Tensor, error) {
	defer keep(mask)
	var out C.gramme_tensor
	if m := C.gramme_mask(handle(mask), s.c(), &out); m != nil {
		return nil, failed("attention mask", m)
	}
	return wrap(out), nil
}

// Embed is the sum of word, position and type embeddings under layer norm and
// dropout. params are the weights of these three and weight and bias of the
// layer norm; the row pad of the words gets no gradient from here.
func Embed(params []*ts.Tensor, ids, types *ts.Tensor, pad int, s Shape) (*ts.Tensor, error) {
	defer keep(append([]*ts.Tensor{ids, types}, params...)...)
	var out C.gramme_tensor
	if m := C.gramme_embed(handles(params), handle(ids), handle(types), C.int64_t(pad), s.c(), &out); m != nil {
		return nil, failed("embed", m)
	}
	return wrap(out), nil
}

// Layer is one encoder layer. params are weight and bias of query, key, value,
// attention output, attention layer norm, intermediate, output and output
// layer norm.
func Layer(x, mask *ts.Tensor, params []*ts.Tensor, s Shape) (*ts.Tensor, error) {
	defer keep(append([]*ts.Tensor{x, mask}, params...)...)
	var out C.gramme_tensor
	if m := C.gramme_layer(handle(x), handle(mask), handles(params), s.c(), &out); m != nil {
		return nil, failed("encoder layer", m)
	}
	return wrap(out), nil
}

// Heads returns the logits of the two pretraining heads in f32: mlm of shape
// [len(positions), vocabulary] at flat positions and nsp of shape [Rows, 2].
// params are weight and bias of pooler, transform and its layer norm, the word
// embeddings, the decoder's bias, weight and bias of the next-sentence head.
func Heads(x, positions *ts.Tensor, params []*ts.Tensor, s Shape) (mlm, nsp *ts.Tensor, err error) {
	defer keep(append([]*ts.Tensor{x, positions}, params...)...)
	var outMLM, outNSP C.gramme_tensor
	if m := C.gramme_heads(handle(x), handle(positions), handles(params), s.c(), &outMLM, &outNSP); m != nil {
		return nil, nil, failed("pretraining heads", m)
	}
	return wrap(outMLM), wrap(outNSP), nil
}

// Measures are the mean losses and right answers of a micro-batch.
type Measures struct {
	MLMLoss, NSPLoss       float64
	MLMCorrect, NSPCorrect int
}

// Losses returns the sum of the two mean cross-entropies and its parts. Without
// a masked position the MLM loss is 0.
func Losses(mlm, nsp, labels, next *ts.Tensor) (*ts.Tensor, Measures, error) {
	defer keep(mlm, nsp, labels, next)
	var out C.gramme_tensor
	var c C.gramme_measures
	if m := C.gramme_losses(handle(mlm), handle(nsp), handle(labels), handle(next), &out, &c); m != nil {
		return nil, Measures{}, failed("losses", m)
	}
	return wrap(out), Measures{
		MLMLoss: float64(c.mlm_loss), NSPLoss: float64(c.nsp_loss),
		MLMCorrect: int(c.mlm_correct), NSPCorrect: int(c.nsp_correct),
	}, nil
}
