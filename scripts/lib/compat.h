// compat.h lets gotch v0.9.1, written for libtorch 2.1, compile unmodified
// against libtorch 2.11: three private operations have another signature since.
// It is forced in by -include ahead of gotch's own sources. Nothing in Gramme
// calls these operations; they need only exist, and mean what they meant.
#pragma once
#ifndef AT_PER_OPERATOR_HEADERS // Gramme's own sources need none of this, and compile faster
#include <ATen/Functions.h>
#include <tuple>

namespace torch {
using OptionalType = c10::optional<at::ScalarType>;

inline at::Tensor _cslt_sparse_mm(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool transpose) {
  return at::_cslt_sparse_mm(a, b, bias, {}, {}, transpose);
}

inline std::tuple<at::Tensor, at::Tensor> _scaled_mm(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
    OptionalType type, const at::Tensor& scale_a, const at::Tensor& scale_b, const at::Tensor& scale) {
  at::Tensor out = at::_scaled_mm(a, b, scale_a, scale_b, bias, scale, type);
  return {out, out.abs().max()};
}

inline std::tuple<at::Tensor, at::Tensor> _scaled_mm_out(at::Tensor& out, at::Tensor& largest, const at::Tensor& a, const at::Tensor& b,
    const at::Tensor& bias, OptionalType type, const at::Tensor& scale_a, const at::Tensor& scale_b, const at::Tensor& scale) {
  at::_scaled_mm_out(out, a, b, scale_a, scale_b, bias, scale, type);
  largest.copy_(out.abs().max());
  return {out, largest};
}
}  // namespace torch
#endif
