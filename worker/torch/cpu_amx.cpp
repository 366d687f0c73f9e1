#include "cpu_parts.hpp"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512bf16,amx-tile,amx-bf16,fma,bmi2")
#define VECTOR_BYTES 64
#define TILES 1

namespace gramme_amx {
#include "cpu_all.hpp"
}  // namespace gramme_amx

std::unique_ptr<CPUEncoder> cpu_encoder_amx(const CPUShape& s, bool bf16, float* const* weights, float* const* gradients) {
  return gramme_amx::make_encoder(s, bf16, weights, gradients);
}

#pragma GCC pop_options
