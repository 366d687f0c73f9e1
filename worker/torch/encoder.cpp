// The blocks of a BERT encoder. Activations are [rows*seq, hidden].

#include <cmath>

#include "parts.hpp"

namespace {

// hidden_score drowns every score, and is finite in bf16 too, so that a row
// without any token gives numbers.
constexpr double hidden_score = 1e30;

at::Tensor linear(const at::Tensor& x, const gramme_tensor* p, int k, const gramme_shape& s) {
  return dense(x, {{tensor(p[k]), tensor(p[k + 1])}}, s.bf16);
}

at::Tensor norm(const at::Tensor& x, gramme_tensor w, gramme_tensor b, const gramme_shape& s) {
  int64_t hidden = x.size(-1);
  if (s.bf16 && x.is_cuda()) {  // CUDA's kernel wants one type
    return at::layer_norm(x.to(at::kFloat), {hidden}, tensor(w), tensor(b), s.eps).to(at::kBFloat16);
  }
  return at::layer_norm(x, {hidden}, tensor(w), tensor(b), s.eps);
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
  // With dropout libtorch has no fused kernel for a CPU, and what it does
  // instead takes more passes over the scores, in f32 even for bf16.
  at::Tensor scores = at::baddbmm(mask.view({s.rows * s.heads, 1, s.seq}), part[0], part[1].transpose(1, 2), 1, 1 / std::sqrt(double(width)));
  return at::bmm(dropout(at::softmax(scores, -1), p), part[2]).view({s.rows, s.heads, s.seq, width});
}

}  // namespace

// mask [rows, seq] of 1 and 0 becomes what is added to attention scores.
char* gramme_mask(gramme_tensor mask, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    at::Tensor m = tensor(mask).to(at::kFloat).sub(1).mul(hidden_score);
    if (s.bf16) m = m.to(at::kBFloat16);
    *out = new at::Tensor(m.view({s.rows, 1, 1, s.seq}).expand({s.rows, s.heads, 1, s.seq}).contiguous());
  });
}

// params: word, position and type embeddings, layer norm weight and bias.
char* gramme_embed(const gramme_tensor* params, gramme_tensor ids, gramme_tensor types, int64_t pad, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    int64_t hidden = tensor(params[0]).size(1);
    at::Tensor x = look_up(tensor(params[0]), tensor(ids), pad);
    x = x + at::embedding(tensor(params[2]), tensor(types));
    x = x.view({s.rows, s.seq, hidden}) + tensor(params[1]).narrow(0, 0, s.seq);
    x = x.view({s.rows * s.seq, hidden});
    if (s.bf16) x = x.to(at::kBFloat16);
    *out = new at::Tensor(drop(norm(x, params[3], params[4], s), s.hidden_dropout, s));
  });
}

// params: weight and bias of query, key, value, attention output, attention
// layer norm, intermediate, output, output layer norm.
char* gramme_layer(gramme_tensor x_, gramme_tensor mask, const gramme_tensor* p, gramme_shape s, gramme_tensor* out) {
  return guard([&] {
    const at::Tensor& x = tensor(x_);
    int64_t hidden = x.size(1);
    auto part = [&](int k) { return Weights{tensor(p[k]), tensor(p[k + 1])}; };
    at::Tensor qkv = dense(x, {part(0), part(2), part(4)}, s.bf16)
                         .view({s.rows, s.seq, 3, s.heads, hidden / s.heads})
                         .permute({2, 0, 3, 1, 4})
                         .reshape({3, s.rows * s.heads, s.seq, hidden / s.heads});
    at::Tensor context = attend(qkv, tensor(mask), s).transpose(1, 2).reshape({s.rows * s.seq, hidden});
    at::Tensor attention = drop(linear(context, p, 6, s), s.hidden_dropout, s);
    at::Tensor middle = norm(attention + x, p[8], p[9], s);
    at::Tensor inner = gelu(linear(middle, p, 10, s), s);
    at::Tensor output = drop(linear(inner, p, 12, s), s.hidden_dropout, s);
    *out = new at::Tensor(norm(output + middle, p[14], p[15], s));
  });
}

// params: pooler weight and bias, transform weight and bias, its layer norm
// weight and bias, word embeddings (the tied decoder), decoder bias, next
// sentence weight and bias. Logits are f32: mlm [positions, vocabulary] and
// nsp [rows, 2].
char* gramme_heads(gramme_tensor x_, gramme_tensor positions, const gramme_tensor* p, gramme_shape s, gramme_tensor* mlm, gramme_tensor* nsp) {
  return guard([&] {
    const at::Tensor& x = tensor(x_);
    at::Tensor first = x.view({s.rows, s.seq, x.size(1)}).select(1, 0);
    at::Tensor pooled = at::tanh(linear(first, p, 0, s));
    at::Tensor next = linear(pooled, p, 8, s).to(at::kFloat);
    at::Tensor t = x.index_select(0, tensor(positions));
    t = norm(gelu(linear(t, p, 2, s), s), p[4], p[5], s);
    at::Tensor words = linear(t, p, 6, s).to(at::kFloat);
    *mlm = new at::Tensor(words);
    *nsp = new at::Tensor(next);
  });
}

// losses is the sum of the two mean cross-entropies. A batch without a masked
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
