// Threads for the encoder on a CPU.
#pragma once
#include <cstdint>

// pool_run calls f(argument, i) once for each 0 <= i < n, on as many threads as SetThreads
// has set, and returns when all calls have. Which thread makes which call is left to
// chance, so that a thread that the system holds up delays the others by one call at most.
// A thread that has no more calls to make calls leave. f must neither throw nor call
// pool_run. Calls from several threads at once run on their own thread alone.
void pool_run(int64_t n, void (*f)(const void* argument, int64_t i), const void* argument, void (*leave)());

// in_parallel is pool_run for a function object.
template <class F>
void in_parallel(int64_t n, const F& f, void (*leave)() = [] {}) {
  pool_run(n, [](const void* g, int64_t i) { (*static_cast<const F*>(g))(i); }, &f, leave);
}
