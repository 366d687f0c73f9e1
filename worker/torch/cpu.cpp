// Chooses the encoder for this CPU and gives it to Go.

#include "cpu.hpp"

#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <exception>
#include <string>

#include "shim.hpp"

namespace {

// multiplies tells whether oneDNN multiplies blocks in the layout that the encoder packs:
// where it lacks the instructions for bf16, libtorch takes the operand for plain rows.
template <class E>
bool multiplies() {
  constexpr int m = 32, n = 64, k = 16, pair = sizeof(E) == 2 ? 2 : 1;
  E a[m * k], b[k * n];
  float c[m * n] = {};
  auto left = [](int i, int p) { return float((i + 3 * p) % 7 - 3); };
  auto right = [](int p, int j) { return float((5 * p + j) % 11 - 5); };
  for (int i = 0; i < m * k; i++) a[i] = left(i / k, i % k);
  for (int p = 0; p < k; p++) {
    for (int j = 0; j < n; j++) b[p / pair * pair * n + j * pair + p % pair] = right(p, j);
  }
  try {
    for (bool add : {false, true}) at::native::cpublas::brgemm(m, n, k, k, n, n, add, a, b, c, pair == 2);
    at::native::cpublas::brgemm_release(pair == 2);
  } catch (const std::exception&) {
    return false;
  }
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int p = 0; p < k; p++) sum += left(i, p) * right(p, j);
      if (c[i * n + j] != 2 * sum) return false;
    }
  }
  return true;
}

// best_set is what the CPU has, as ATEN_CPU_CAPABILITY bounds it.
gramme_cpu_set best_set() {
  std::string capability = at::get_cpu_capability();
  if (capability == "AVX2") return gramme_cpu_avx2;
  if (capability != "AVX512") return gramme_cpu_none;
  bool tiles = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("avx512bf16");
  return tiles ? gramme_cpu_amx : gramme_cpu_avx512;
}

}  // namespace

char* gramme_cpu_encoder(gramme_cpu_shape s, int bf16, float* const* weights, float* const* gradients, gramme_cpu* out) {
  return guard([&] {
    *out = nullptr;
    int64_t width = s.hidden / s.heads;
    if (s.hidden % 16 != 0 || s.inner % 16 != 0 || width % 2 != 0) return;
    CPUShape shape{s.layers, s.hidden, s.heads, s.inner, s.vocabulary, s.positions, s.types, s.pad, float(s.eps), s.hidden_dropout, s.attention_dropout, s.gelu_tanh != 0};
    gramme_cpu_set set = std::min(s.most, best_set());
    bool whole_tiles = s.hidden % 32 == 0 && s.inner % 32 == 0 && width % 32 == 0;
    if (set == gramme_cpu_amx && !(bf16 && whole_tiles && at::cpu::init_amx())) set = gramme_cpu_avx512;
    if (set < (bf16 ? gramme_cpu_avx512 : gramme_cpu_avx2)) return;
    if (set != gramme_cpu_amx && !(bf16 ? multiplies<c10::BFloat16>() : multiplies<float>())) return;
    auto make = set == gramme_cpu_amx ? cpu_encoder_amx : set == gramme_cpu_avx512 ? cpu_encoder_avx512 : cpu_encoder_avx2;
    *out = make(shape, bf16, weights, gradients).release();
  });
}

gramme_cpu_set gramme_cpu_set_of(gramme_cpu e) { return static_cast<CPUEncoder*>(e)->set(); }

void gramme_cpu_free(gramme_cpu e) { delete static_cast<CPUEncoder*>(e); }

char* gramme_cpu_weights_changed(gramme_cpu e) {
  return guard([&] { static_cast<CPUEncoder*>(e)->weights_changed(); });
}

char* gramme_cpu_compute(gramme_cpu e, gramme_cpu_batch b, uint64_t seed, int training, gramme_measures* out) {
  return guard([&] {
    CPUBatch batch{b.rows, b.seq, b.ids, b.types, b.mask, b.masked, b.positions, b.labels, b.next};
    CPUEncoder* encoder = static_cast<CPUEncoder*>(e);
    *out = training ? encoder->compute(batch, seed) : encoder->evaluate(batch);
  });
}
