// The vectors of a replica as tensors.
#pragma once
#include <vector>

#include "shim.hpp"

struct Replica {
  Replica(const gramme_replica_shape& s, const at::Tensor& weights, const at::Tensor& gradient);

  int32_t* host_words(int64_t n);
  void reset();
  void add(const float* scales, int32_t limit, float* largest, int64_t* clamped, int* infinite);
  void read_sum(int32_t* to) const;
  void load_entry(const int32_t* entry);
  void squares(double* to) const;
  void update(const gramme_adamw& p, const double* quanta, const float* decays);
  void read(float* w, float* m, float* v) const;
  void write(const float* w, const float* m, const float* v);

 private:
  // per_row gives each row the value of its tensor, [rows, 1].
  at::Tensor per_row(const at::Tensor& values) const;
  // per_unit gathers a value of each row by the units of the norm, with 0 beyond a unit's end.
  at::Tensor per_unit(const at::Tensor& values) const;
  // numbers are the words of the entry, and a row of zeros.
  at::Tensor numbers() const;
  void add_fitting(const at::Tensor& g, const at::Tensor& scale);
  void add_clamped(const at::Tensor& g, const at::Tensor& scale, int32_t limit, float* largest, int64_t* clamped);

  gramme_replica_shape shape;  // its pointers are not kept
  at::Device device;
  int64_t rows, unit_rows;
  at::Tensor weights, gradient, moment1, moment2;  // f32
  at::Tensor sum, words;                           // of micro-batches; of an entry, and a row of zeros
  std::vector<at::Tensor> lent;                    // words of the host
  at::Tensor tensor_of_row, rows_of_unit;
  std::vector<int64_t> tensor_of_unit;
};
