// The encoder on a CPU, in the order in which its parts use each other. Included inside a
// namespace, under a target.

#include "cpu_vector.hpp"
#include "cpu_pack.hpp"
#include "cpu_blocks.hpp"
#include "cpu_product.hpp"
#include "cpu_norm.hpp"
#include "cpu_attention.hpp"
#include "cpu_loss.hpp"
#include "cpu_linear.hpp"
#include "cpu_encoder.hpp"
#include "cpu_forward.hpp"
#include "cpu_backward.hpp"
#include "cpu_heads.hpp"

inline std::unique_ptr<CPUEncoder> make_encoder(const CPUShape& s, bool bf16, float* const* weights, float* const* gradients) {
  if (bf16) return std::make_unique<Encoder<BF16>>(s, weights, gradients);
  return std::make_unique<Encoder<float>>(s, weights, gradients);
}
