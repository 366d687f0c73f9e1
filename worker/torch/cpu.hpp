// What the encoder on a CPU is asked for. It is compiled once for each instruction set.
#pragma once
#include <memory>

#include "shim.h"

struct CPUShape {
  int64_t layers, hidden, heads, inner, vocabulary, positions, types, pad;
  float eps;
  double hidden_dropout, attention_dropout;
  bool gelu_tanh;
};

struct CPUBatch {
  int64_t rows, seq;
  const int64_t *ids, *types, *mask;
  int64_t positions_n;
  const int64_t *positions, *labels, *next;
};

struct CPUEncoder {
  virtual ~CPUEncoder() = default;
  virtual gramme_cpu_set set() const = 0;
  virtual void weights_changed() = 0;
  virtual gramme_measures compute(const CPUBatch&, uint64_t dropout_seed) = 0;
  virtual gramme_measures evaluate(const CPUBatch&) = 0;
};

// Weights and gradients stand in the order embeddings, layers, heads, and by the places
// of shim.h in each.
std::unique_ptr<CPUEncoder> cpu_encoder_amx(const CPUShape&, bool bf16, float* const* weights, float* const* gradients);
std::unique_ptr<CPUEncoder> cpu_encoder_avx512(const CPUShape&, bool bf16, float* const* weights, float* const* gradients);
std::unique_ptr<CPUEncoder> cpu_encoder_avx2(const CPUShape&, bool bf16, float* const* weights, float* const* gradients);
