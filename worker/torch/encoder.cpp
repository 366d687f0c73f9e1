// The blocks of a BERT encoder. Activations are [rows*seq, hidden].

#include <ATen/TensorOperators.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <cmath>

#include "parts.hpp"

namespace {

// masked_score outweighs every score, and is finite in bf16 too, so that a row
// without any token gives finite numbers.
constexpr double masked_score = 1e30;

// with_bias is a weight of a block and its bias.
Weights with_bias(const gramme_tensor* weights, int place) {
  return {tensor(weights[place]), tensor(weights[place + 1])};
}

at::Tensor linear(const at::Tensor& x, const Weights& w, const gramme_shape& s) { return dense(x, {w}, s.bf16); }

at::Tensor norm(const at::Tensor& x, const Weights& w, const gramme_shape& s) {
  int64_t hidden = x.size(-1);
  if (s.bf16 && x.is_cuda()) {  // CUDA's kernel wants one type
    return at::layer_norm(x.to(at::kFloat), {hidden}, w.weight, w.bias, s.eps).to(at::kBFloat16);
  }
  return at::layer_norm(x, {hidden}, w.weight, w.bias, s.eps);
}

at::Tensor drop(const at::Tensor& x, double p, const gramme_shape& s) {
  return s.training ? dropout(x, p) : x;
}

at::Tensor gelu(const at::Tensor& x, const gramme_shape& s) {
  return at::gelu(x, s.gelu_tanh ? "tanh" : "none");
}

// attend takes query, key and value of shape [rows*heads, seq, width], together
// in one tensor, and a mask of [rows, heads, 1, seq].
at::Tensor attend(const at::Tensor& qkv, const at::Tensor& mask, const gramme_shape& s) {
  std::vector<at::Tensor> part = qkv.unbind(0);
  double p = s.training ? s.attention_dropout : 0;
  int64_t width = qkv.size(3);
  if (!qkv.is_cpu() || p == 0) {
    for (at::Tensor& t : part) t = t.view({s.rows, s.heads, s.seq, width});
    return at::scaled_dot_product_attention(part[0], part[1], part[2], mask.expand({s.rows, s.heads, s.seq, s.seq}), p);
  }
  // With dropout libtorch has no fused kernel for a CPU; its fallback takes more
  // passes over the scores, in f32 even for bf16.
  at::Tensor scores = at::baddbmm(mask.view({s.rows * s.heads, 1, s.seq}), part[0], part[1].transpose(1, 2), 1, 1 / std::sqrt(double(width)));
  return at::bmm(dropout(at::softmax(scores, -1), p), part[2]).view({s.rows, s.heads, s.seq, width});
}

}  // namespace

// gramme_mask turns a mask [rows, seq] of 1 and 0 into the term added to attention scores.
char* gramme_mask(gramme_tensor mask, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    at::Tensor m = tensor(mask).to(at::kFloat).sub(1).mul(masked_score);
    if (s.bf16) m = m.to(at::kBFloat16);
    *out = new at::Tensor(m.view({s.rows, 1, 1, s.seq}).expand({s.rows, s.heads, 1, s.seq}).contiguous());
  });
}

char* gramme_embed(const gramme_tensor* weights, gramme_tensor ids, gramme_tensor types, int64_t pad, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    const at::Tensor& words = tensor(weights[gramme_embed_words]);
    int64_t hidden = words.size(1);
    at::Tensor x = look_up(words, tensor(ids), pad);
    x = x + at::embedding(tensor(weights[gramme_embed_types]), tensor(types));
    x = x.view({s.rows, s.seq, hidden}) + tensor(weights[gramme_embed_positions]).narrow(0, 0, s.seq);
    x = x.view({s.rows * s.seq, hidden});
    if (s.bf16) x = x.to(at::kBFloat16);
    *out = new at::Tensor(drop(norm(x, with_bias(weights, gramme_embed_norm), s), s.hidden_dropout, s));
  });
}

char* gramme_layer(gramme_tensor x_, gramme_tensor mask, const gramme_tensor* weights, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    const at::Tensor& x = tensor(x_);
    int64_t hidden = x.size(1);
    auto at_place = [&](int place) { return with_bias(weights, place); };
    at::Tensor qkv = dense(x, {at_place(gramme_layer_query), at_place(gramme_layer_key), at_place(gramme_layer_value)}, s.bf16)
                         .view({s.rows, s.seq, 3, s.heads, hidden / s.heads})
                         .permute({2, 0, 3, 1, 4})
                         .reshape({3, s.rows * s.heads, s.seq, hidden / s.heads});
    at::Tensor context = attend(qkv, tensor(mask), s).transpose(1, 2).reshape({s.rows * s.seq, hidden});
    at::Tensor attention = drop(linear(context, at_place(gramme_layer_attention), s), s.hidden_dropout, s);
    at::Tensor middle = norm(attention + x, at_place(gramme_layer_attention_norm), s);
    at::Tensor inner = gelu(linear(middle, at_place(gramme_layer_intermediate), s), s);
    at::Tensor output = drop(linear(inner, at_place(gramme_layer_output), s), s.hidden_dropout, s);
    *out = new at::Tensor(norm(output + middle, at_place(gramme_layer_output_norm), s));
  });
}

// Logits are f32: mlm [positions, vocabulary] and nsp [rows, 2].
char* gramme_heads(gramme_tensor x_, gramme_tensor positions, const gramme_tensor* weights, gramme_shape s, gramme_tensor* mlm, gramme_tensor* nsp) {
  return guard([&] {
    const at::Tensor& x = tensor(x_);
    at::Tensor first = x.view({s.rows, s.seq, x.size(1)}).select(1, 0);
    at::Tensor pooled = at::tanh(linear(first, with_bias(weights, gramme_heads_pooler), s));
    at::Tensor next = linear(pooled, with_bias(weights, gramme_heads_next_sentence), s).to(at::kFloat);
    at::Tensor t = x.index_select(0, tensor(positions));
    t = norm(gelu(linear(t, with_bias(weights, gramme_heads_transform), s), s), with_bias(weights, gramme_heads_transform_norm), s);
    at::Tensor words = linear(t, with_bias(weights, gramme_heads_decoder), s).to(at::kFloat);
    *mlm = new at::Tensor(words);
    *nsp = new at::Tensor(next);
  });
}

// gramme_losses returns the sum of the two mean cross-entropies. A batch without a masked
// position has an MLM loss of 0.
char* gramme_losses(gramme_tensor mlm_, gramme_tensor nsp_, gramme_tensor labels_, gramme_tensor next_, gramme_tensor* loss, gramme_measures* m) {
  return guard([&] {
    const at::Tensor &mlm = tensor(mlm_), &nsp = tensor(nsp_), &labels = tensor(labels_), &next = tensor(next_);
    at::Tensor total = at::cross_entropy_loss(nsp, next);
    *m = {};
    m->nsp_loss = total.item<float>();
    m->nsp_correct = nsp.argmax(1).eq(next).sum().item<int64_t>();
    if (mlm.size(0) > 0) {
      at::Tensor words = at::cross_entropy_loss(mlm, labels);
      m->mlm_loss = words.item<float>();
      m->mlm_correct = mlm.argmax(1).eq(labels).sum().item<int64_t>();
      total = total + words;
    }
    *loss = new at::Tensor(total);
  });
}
