// Products with weights and look-ups of them, whose gradients go straight to
// their homes: autograd would make each gradient first and then add it, which
// for the word embeddings is most of the memory that a step of a small model
// touches.

#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include "parts.hpp"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor cast(const at::Tensor& w, bool bf16) { return bf16 ? w.to(at::kBFloat16) : w; }

// add accumulates a·b in a home. One product does it where the types agree.
void add(at::Tensor home, const at::Tensor& a, const at::Tensor& b) {
  if (!home.defined()) return;
  if (home.scalar_type() == a.scalar_type()) {
    home.addmm_(a, b);
  } else {
    home.add_(at::mm(a, b));
  }
}

struct Dense : Function<Dense> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const std::vector<Weights>* parts, bool bf16) {
    std::vector<at::Tensor> weights, biases, homes;
    for (const Weights& p : *parts) {
      weights.push_back(p.weight);
      biases.push_back(p.bias);
      homes.push_back(p.weight.grad());
      homes.push_back(p.bias.grad());
    }
    bool one = parts->size() == 1;
    at::Tensor w = cast(one ? weights[0] : at::cat(weights), bf16);
    at::Tensor b = cast(one ? biases[0] : at::cat(biases), bf16);
    ctx->save_for_backward({x, w});
    ctx->saved_data["homes"] = homes;
    return at::linear(x, w, b);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &w = saved[1];
    at::Tensor g = gradients[0].contiguous();
    std::vector<at::Tensor> homes = ctx->saved_data["homes"].toTensorVector();
    int64_t begin = 0, width = w.size(0) / (homes.size() / 2);
    for (size_t k = 0; k < homes.size(); k += 2, begin += width) {
      at::Tensor part = g.narrow(1, begin, width);
      add(homes[k], part.t(), x);
      if (homes[k + 1].defined()) homes[k + 1].add_(part.sum(0, false, at::kFloat));
    }
    return {at::mm(g, w), at::Tensor(), at::Tensor()};
  }
};

struct LookUp : Function<LookUp> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& table, const at::Tensor& ids, int64_t pad) {
    ctx->save_for_backward({ids});
    ctx->saved_data["home"] = table.grad();
    ctx->saved_data["pad"] = pad;
    return table.index_select(0, ids);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    at::Tensor ids = ctx->get_saved_variables()[0], home = ctx->saved_data["home"].toTensor();
    if (home.defined()) {
      at::Tensor padding = ids.eq(ctx->saved_data["pad"].toInt()).unsqueeze(1);
      home.index_add_(0, ids, gradients[0].masked_fill(padding, 0));
    }
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor dense(const at::Tensor& x, const std::vector<Weights>& parts, bool bf16) {
  return Dense::apply(x, &parts, bf16);
}

at::Tensor look_up(const at::Tensor& table, const at::Tensor& ids, int64_t pad) {
  return LookUp::apply(table, ids, pad);
}
