// Everything that the encoder on a CPU includes, before a target is chosen: code of the
// standard library and of libtorch must run on every machine.
#pragma once
#include <ATen/native/CPUBlas.h>
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "cpu.hpp"
#include "pool.hpp"

using BF16 = c10::BFloat16;

// Aligned allocates at the borders of cache lines, and in huge pages what fills them.
template <class T>
struct Aligned {
  using value_type = T;
  Aligned() = default;
  template <class U>
  Aligned(const Aligned<U>&) {}
  static constexpr size_t huge = 2 << 20;
  static std::align_val_t align(size_t n) { return std::align_val_t(n * sizeof(T) < huge ? 64 : huge); }
  T* allocate(size_t n) {
    T* p = static_cast<T*>(::operator new(n * sizeof(T), align(n)));
#ifdef MADV_HUGEPAGE
    if (size_t(align(n)) > 64) madvise(p, n * sizeof(T) / huge * huge, MADV_HUGEPAGE);
#endif
    return p;
  }
  void deallocate(T* p, size_t n) { ::operator delete(p, align(n)); }
  template <class U>
  bool operator==(const Aligned<U>&) const { return true; }
  template <class U>
  bool operator!=(const Aligned<U>&) const { return false; }
};
