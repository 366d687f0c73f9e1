#include "cpu_parts.hpp"

#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi2")
#define VECTOR_BYTES 32

namespace gramme_avx2 {
#include "cpu_vector.hpp"
#include "cpu_pack.hpp"
#include "cpu_product.hpp"
#include "cpu_norm.hpp"
#include "cpu_attention.hpp"
#include "cpu_loss.hpp"
#include "cpu_linear.hpp"
#include "cpu_encoder.hpp"
#include "cpu_forward.hpp"
#include "cpu_backward.hpp"
#include "cpu_heads.hpp"
}  // namespace gramme_avx2

std::unique_ptr<CPUEncoder> cpu_encoder_avx2(const CPUShape& s, bool bf16, float* const* weights, float* const* gradients) {
  using namespace gramme_avx2;
  if (bf16) return std::make_unique<Encoder<BF16>>(s, weights, gradients);
  return std::make_unique<Encoder<float>>(s, weights, gradients);
}

#pragma GCC pop_options
