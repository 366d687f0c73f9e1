#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/version.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "shim.hpp"

const char* gramme_version(void) { return TORCH_VERSION; }

char* gramme_set_threads(int threads) {
  return guard([&] { at::set_num_threads(threads); });
}

int gramme_threads(void) { return at::get_num_threads(); }

// Every step allocates the same sizes again. As glibc comes, it gives much of
// them back to the kernel in between, which then clears every page anew.
void gramme_keep_memory(void) {
#ifdef M_TRIM_THRESHOLD
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that it takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

char* gramme_seed(uint64_t seed) {
  return guard([&] { at::manual_seed(seed); });
}

// The static initialisers of these two register the CUDA kernels; nothing
// refers to them at link time, so that one binary serves with and without.
char* gramme_load_cuda(void) {
  return guard([&] {
    // Without it cuBLAS refuses to be deterministic, at the first product. What
    // the user has set stays.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    for (const char* name : {"libc10_cuda.so", "libtorch_cuda.so"}) {
      if (dlopen(name, RTLD_NOW | RTLD_GLOBAL) == nullptr) throw std::runtime_error(dlerror());
    }
    if (!at::globalContext().hasCUDA()) throw std::runtime_error("libtorch sees no CUDA device");
    at::globalContext().setDeterministicAlgorithms(true, false);
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setBenchmarkCuDNN(false);
  });
}

int gramme_set_grad_mode(int on) {
  int before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(on);
  return before;
}

// Backward accumulates in place into a gradient that is defined already, so
// that every gradient stays where its home is.
char* gramme_leaf(gramme_tensor parameter, gramme_tensor home) {
  return guard([&] {
    tensor(parameter).requires_grad_(true);
    tensor(parameter).mutable_grad() = tensor(home);
  });
}

char* gramme_backward(gramme_tensor loss) {
  return guard([&] { tensor(loss).backward(); });
}

char* gramme_copy(gramme_tensor to, gramme_tensor from) {
  return guard([&] {
    at::NoGradGuard no_grad;
    tensor(to).copy_(tensor(from));
  });
}

// A device works in the background, in the order in which it was asked; who reads an element
// waits for all of it.
char* gramme_wait(gramme_tensor t) {
  return guard([&] {
    at::NoGradGuard no_grad;
    tensor(t).view({-1}).narrow(0, 0, 1).to(at::kCPU);
  });
}

char* gramme_zero(gramme_tensor t) {
  return guard([&] {
    at::NoGradGuard no_grad;
    tensor(t).zero_();
  });
}

char* gramme_from_host(const void* data, const int64_t* shape, int dims, int integer, gramme_tensor* out) {
  return guard([&] {
    at::Tensor t = at::empty(at::IntArrayRef(shape, dims), integer ? at::kLong : at::kFloat);
    std::memcpy(t.data_ptr(), data, t.nbytes());
    *out = new at::Tensor(std::move(t));
  });
}

char* gramme_to_host(gramme_tensor from, float* to, int64_t n) {
  return guard([&] {
    at::NoGradGuard no_grad;
    at::Tensor t = tensor(from).to(at::kCPU, at::kFloat).contiguous();
    if (t.numel() != n) throw std::runtime_error("the tensor has " + std::to_string(t.numel()) + " elements, not " + std::to_string(n));
    std::memcpy(to, t.data_ptr(), t.nbytes());
  });
}
