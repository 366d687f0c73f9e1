// Dropout on a CPU. libtorch draws a double for every element, one after the
// other; here a hash of (key, index) gives 32 bits for each, so that elements
// are independent of each other, of the number of threads and of the machine.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <mutex>

#include "parts.hpp"
#include "pool.hpp"

namespace {

// SplitMix64's finalizer.
inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t draw_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

template <class T>
void fill(T* to, int64_t n, uint64_t key, uint64_t threshold, T kept) {
  const T dropped = 0;
  const int64_t pairs = (n + 1) / 2, piece = 1 << 14;
  in_parallel((pairs + piece - 1) / piece, [=](int64_t p) {
    for (int64_t i = p * piece; i < std::min(pairs, (p + 1) * piece); i++) {
      uint64_t bits = mix(key + uint64_t(i + 1) * 0x9e3779b97f4a7c15);
      to[2 * i] = (bits & 0xffffffff) >= threshold ? kept : dropped;
      if (2 * i + 1 < n) to[2 * i + 1] = (bits >> 32) >= threshold ? kept : dropped;
    }
  });
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p) {
  if (p <= 0) return x;
  if (!x.is_cpu()) return at::dropout(x, p, true);
  at::Tensor keep = at::empty(x.sizes(), x.options().requires_grad(false));
  uint64_t key = draw_key(), threshold = uint64_t(p * 4294967296.0);
  if (x.scalar_type() == at::kBFloat16) {
    fill(keep.data_ptr<at::BFloat16>(), keep.numel(), key, threshold, at::BFloat16(1 / (1 - p)));
  } else {
    fill(keep.data_ptr<float>(), keep.numel(), key, threshold, float(1 / (1 - p)));
  }
  return x.mul(keep);
}
