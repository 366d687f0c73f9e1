#include "pool.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

// A waiting thread looks this often before it sleeps: some 20 µs, as long as the gaps
// between the parts of a gradient. Longer waits would take energy and the processor from
// others.
constexpr int looks = 500;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Gate lets a thread wait for a condition that others make true before they call open.
class Gate {
 public:
  template <class C>
  void wait(const C& condition) {
    for (int i = 0; i < looks; i++) {
      if (condition()) return;
      pause_briefly();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    sleep_.wait(lock, condition);
    sleepers_.fetch_sub(1);
  }

  // open wakes whoever sleeps. The orders of both atomics are sequentially consistent:
  // either the waiter sees the condition, or this sees the waiter.
  void open() {
    if (sleepers_.load() == 0) return;
    std::lock_guard<std::mutex> lock(mutex_);
    sleep_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable sleep_;
  std::atomic<int> sleepers_{0};
};

// Share is what is left of the calls of one thread: from `begin` on to `end`, in one word.
struct alignas(64) Share {
  std::atomic<uint64_t> word{0};

  void set(uint64_t begin, uint64_t end) { word = begin << 32 | end; }

  // take takes the first call, or the last one for a thread that has done its own.
  bool take(bool first, int64_t* i) {
    for (uint64_t at = word;;) {
      uint64_t begin = at >> 32, end = at & UINT32_MAX;
      if (begin >= end) return false;
      if (!word.compare_exchange_weak(at, first ? (begin + 1) << 32 | end : begin << 32 | (end - 1))) continue;
      *i = int64_t(first ? begin : end - 1);
      return true;
    }
  }
};

// Pool is the threads besides the caller's, and the one job that they work on. A thread
// begins with its own share, the same part of every matrix, which is most likely in its
// cache; then it helps the others.
class Pool {
 public:
  void run(int64_t n, void (*f)(const void*, int64_t), const void* argument, void (*leave)()) {
    std::unique_lock<std::mutex> lock(one_job_, std::try_to_lock);
    int threads = std::min(at::get_num_threads(), most);
    if (!lock.owns_lock() || threads < 2 || n < 2) {
      for (int64_t i = 0; i < n; i++) f(argument, i);
      leave();
      return;
    }
    for (; started_ < threads - 1; started_++) std::thread([this, self = started_ + 1] { serve(self); }).detach();
    f_ = f, argument_ = argument, leave_ = leave, finished_ = 0, threads_ = threads;
    for (int t = 0; t < threads; t++) shares_[t].set(uint64_t(n * t / threads), uint64_t(n * (t + 1) / threads));
    open_ = true;
    job_++;
    begun_.open();
    work(0);
    ended_.wait([&] { return finished_ == n; });
    open_ = false;
    ended_.wait([&] { return inside_ == 0; });
  }

 private:
  static constexpr int most = 256;

  // serve works on every job that wants this thread. Whoever is inside keeps the next job
  // from being set up.
  void serve(int self) {
    for (uint32_t seen = 0;;) {
      begun_.wait([&] { return job_ != seen && self < threads_; });
      inside_++;
      seen = job_;
      if (open_ && self < threads_) work(self);
      inside_--;
      ended_.open();
    }
  }

  void work(int self) {
    int64_t calls = 0, i;
    for (int k = 0; k < threads_; k++) {
      Share& share = shares_[(self + k) % threads_];
      for (; share.take(k == 0, &i); calls++) f_(argument_, i);
    }
    leave_();
    finished_ += calls;
  }

  std::mutex one_job_;
  int started_ = 0;
  std::atomic<int> threads_{0}, inside_{0};
  std::atomic<uint32_t> job_{0};
  std::atomic<bool> open_{false};
  std::atomic<int64_t> finished_{0};
  Share shares_[most];
  void (*f_)(const void*, int64_t) = nullptr;
  const void* argument_ = nullptr;
  void (*leave_)() = nullptr;
  Gate begun_, ended_;
};

}  // namespace

void pool_run(int64_t n, void (*f)(const void*, int64_t), const void* argument, void (*leave)()) {
  // Never destroyed: its threads run until the process ends.
  static Pool* pool = new Pool;
  pool->run(n, f, argument, leave);
}
