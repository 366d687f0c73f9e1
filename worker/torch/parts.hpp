// What the blocks of the encoder are put together from.
#pragma once
#include <vector>

#include "shim.hpp"

struct Weights {
  at::Tensor weight, bias;
};

// dense is x·wᵀ + b in bf16 or f32, for several weights of one shape side by
// side. Their gradients go to their homes and nowhere else.
at::Tensor dense(const at::Tensor& x, const std::vector<Weights>& parts, bool bf16);

// look_up takes the rows ids of a table. Row pad gets no gradient.
at::Tensor look_up(const at::Tensor& table, const at::Tensor& ids, int64_t pad);

// dropout sets a share p of the elements to 0 and scales the others up.
at::Tensor dropout(const at::Tensor& x, double p);
