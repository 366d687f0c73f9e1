// What the C++ files of the shim share. Each includes the operators that it uses: all of
// them, as in ATen/ATen.h, take seconds to compile.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstring>
#include <exception>

#include "shim.h"

// guard runs f and turns an exception into a message without the C++ stack.
template <class F>
char* guard(F&& f) {
  try {
    f();
    return nullptr;
  } catch (const c10::Error& e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

inline at::Tensor& tensor(gramme_tensor t) { return *static_cast<at::Tensor*>(t); }
