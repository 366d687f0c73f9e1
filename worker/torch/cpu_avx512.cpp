#include "cpu_parts.hpp"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,fma,bmi2")
#define VECTOR_BYTES 64
#define TILES 0

namespace gramme_avx512 {
#include "cpu_all.hpp"
}  // namespace gramme_avx512

std::unique_ptr<CPUEncoder> cpu_encoder_avx512(const CPUShape& s, bool bf16, float* const* weights, float* const* gradients) {
  return gramme_avx512::make_encoder(s, bf16, weights, gradients);
}

#pragma GCC pop_options
