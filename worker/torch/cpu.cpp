// Chooses the encoder for this CPU and gives it to Go.

#include "cpu.hpp"

#include <ATen/Version.h>
#include <ATen/native/CPUBlas.h>

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

}  // namespace

char* gramme_cpu_encoder(gramme_cpu_shape s, int bf16, float* const* weights, float* const* gradients, gramme_cpu* out) {
  return guard([&] {
    *out = nullptr;
    if (s.hidden % 16 != 0 || s.inner % 16 != 0 || s.hidden / s.heads % 2 != 0) return;
    std::string capability = at::get_cpu_capability();  // as ATEN_CPU_CAPABILITY bounds it
    bool avx512 = capability == "AVX512" && !s.avx2, avx2 = capability == "AVX512" || capability == "AVX2";
    if (!avx2 || (bf16 && !avx512) || !(bf16 ? multiplies<c10::BFloat16>() : multiplies<float>())) return;
    CPUShape shape{s.layers, s.hidden, s.heads, s.inner, s.vocabulary, s.positions, s.types, s.pad, float(s.eps), s.hidden_dropout, s.attention_dropout, s.gelu_tanh != 0};
    *out = (avx512 ? cpu_encoder_avx512(shape, bf16, weights, gradients) : cpu_encoder_avx2(shape, bf16, weights, gradients)).release();
  });
}

int gramme_cpu_is_avx2(gramme_cpu e) { return static_cast<CPUEncoder*>(e)->is_avx2(); }

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
