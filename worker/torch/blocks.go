//go:build cgo

package torch

// #include "shim.h"
import "C"

import "github.com/sugarme/gotch/ts"

// These are the places of the weights in a block. Each bias follows its weight. The enums
// of shim.h define the places, and the blocks use the same enums.
const (
	EmbedWords     = C.gramme_embed_words
	EmbedPositions = C.gramme_embed_positions
	EmbedTypes     = C.gramme_embed_types
	EmbedNorm      = C.gramme_embed_norm
	EmbedNormBias  = C.gramme_embed_norm_bias

	LayerQuery             = C.gramme_layer_query
	LayerQueryBias         = C.gramme_layer_query_bias
	LayerKey               = C.gramme_layer_key
	LayerKeyBias           = C.gramme_layer_key_bias
	LayerValue             = C.gramme_layer_value
	LayerValueBias         = C.gramme_layer_value_bias
	LayerAttention         = C.gramme_layer_attention
	LayerAttentionBias     = C.gramme_layer_attention_bias
	LayerAttentionNorm     = C.gramme_layer_attention_norm
	LayerAttentionNormBias = C.gramme_layer_attention_norm_bias
	LayerIntermediate      = C.gramme_layer_intermediate
	LayerIntermediateBias  = C.gramme_layer_intermediate_bias
	LayerOutput            = C.gramme_layer_output
	LayerOutputBias        = C.gramme_layer_output_bias
	LayerOutputNorm        = C.gramme_layer_output_norm
	LayerOutputNormBias    = C.gramme_layer_output_norm_bias

	HeadsPooler            = C.gramme_heads_pooler
	HeadsPoolerBias        = C.gramme_heads_pooler_bias
	HeadsTransform         = C.gramme_heads_transform
	HeadsTransformBias     = C.gramme_heads_transform_bias
	HeadsTransformNorm     = C.gramme_heads_transform_norm
	HeadsTransformNormBias = C.gramme_heads_transform_norm_bias
	HeadsDecoder           = C.gramme_heads_decoder // the word embeddings
	HeadsDecoderBias       = C.gramme_heads_decoder_bias
	HeadsNextSentence      = C.gramme_heads_next_sentence
	HeadsNextSentenceBias  = C.gramme_heads_next_sentence_bias
)

type (
	// EmbedWeights are the weights of the embeddings, by their places.
	EmbedWeights [C.gramme_embed_weights]*ts.Tensor
	// LayerWeights are the weights of one layer.
	LayerWeights [C.gramme_layer_weights]*ts.Tensor
	// HeadsWeights are the weights of both heads.
	HeadsWeights [C.gramme_heads_weights]*ts.Tensor
)

// Shape is what the blocks of an encoder need beside their tensors. Activations are
// [Rows*Seq, hidden].
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

// Mask turns the attention mask of Rows*Seq elements, 1 at each token, into the term that
// Layer adds to the scores.
func Mask(mask *ts.Tensor, s Shape) (*ts.Tensor, error) {
	defer keep(mask)
	var out C.gramme_tensor
	if m := C.gramme_mask(handle(mask), s.c(), &out); m != nil {
		return nil, failed("attention mask", m)
	}
	return wrap(out), nil
}

// Embed returns the sum of word, position and type embeddings after layer norm and
// dropout. Row pad of the words gets no gradient from it.
func Embed(weights EmbedWeights, ids, types *ts.Tensor, pad int, s Shape) (*ts.Tensor, error) {
	defer keep(append([]*ts.Tensor{ids, types}, weights[:]...)...)
	var out C.gramme_tensor
	if m := C.gramme_embed(handles(weights[:]), handle(ids), handle(types), C.int64_t(pad), s.c(), &out); m != nil {
		return nil, failed("embed", m)
	}
	return wrap(out), nil
}

// Layer is one encoder layer.
func Layer(x, mask *ts.Tensor, weights LayerWeights, s Shape) (*ts.Tensor, error) {
	defer keep(append([]*ts.Tensor{x, mask}, weights[:]...)...)
	var out C.gramme_tensor
	if m := C.gramme_layer(handle(x), handle(mask), handles(weights[:]), s.c(), &out); m != nil {
		return nil, failed("encoder layer", m)
	}
	return wrap(out), nil
}

// Heads returns the logits of the two pretraining heads in f32: mlm of shape
// [len(positions), vocabulary] at flat positions and nsp of shape [Rows, 2].
func Heads(x, positions *ts.Tensor, weights HeadsWeights, s Shape) (mlm, nsp *ts.Tensor, err error) {
	defer keep(append([]*ts.Tensor{x, positions}, weights[:]...)...)
	var outMLM, outNSP C.gramme_tensor
	if m := C.gramme_heads(handle(x), handle(positions), handles(weights[:]), s.c(), &outMLM, &outNSP); m != nil {
		return nil, nil, failed("pretraining heads", m)
	}
	return wrap(outMLM), wrap(outNSP), nil
}

// Measures are the mean losses of a micro-batch, and its numbers of right answers.
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
	return wrap(out), measuresOf(c), nil
}

func measuresOf(c C.gramme_measures) Measures {
	return Measures{
		MLMLoss: float64(c.mlm_loss), NSPLoss: float64(c.nsp_loss),
		MLMCorrect: int(c.mlm_correct), NSPCorrect: int(c.nsp_correct),
	}
}
