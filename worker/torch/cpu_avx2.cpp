#include "cpu_parts.hpp"

#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi2")
#define VECTOR_BYTES 32
#define TILES 0

namespace gramme_avx2 {
#include "cpu_all.hpp"
}  // namespace gramme_avx2

std::unique_ptr<CPUEncoder> cpu_encoder_avx2(const CPUShape& s, bool bf16, float* const* weights, float* const* gradients) {
  return gramme_avx2::make_encoder(s, bf16, weights, gradients);
}

#pragma GCC pop_options
