// A replica of the run's state whose long vectors are tensors, and what changes them: the
// rounding of a gradient, the sum, the norm's squares and AdamW. Package replica has the same
// in plain Go, which is the reference: every bit is equal.
//
// That holds since each operation here is elementwise, rounds once, and gives what IEEE 754
// says: products, sums and quotients of f32 and f64, and roots of f64, are correctly rounded on
// a CPU and, as libtorch is compiled (no fast math), on CUDA. Operations that libtorch fuses
// (addcmul, addcdiv, lerp, add with a factor) and quotients by a number, which become products
// with the reciprocal, do not occur. Reductions occur only where the order cannot matter: of
// maxima and of integers. The squares of the norm are added one after the other.

#include "replica.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/round.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace {

// slice bounds the memory of intermediate values, in elements.
constexpr int64_t slice = int64_t(1) << 24;

constexpr int64_t row = gramme_row;

template <class T>
at::Tensor from_host(const T* values, int64_t n, at::ScalarType type, at::Device device) {
  return at::from_blob(const_cast<T*>(values), {n}, type).to(device, type, false, true);
}

// largest_f32 is the largest f32 that is not above an integer.
float largest_f32(int32_t limit) {
  float f = float(limit);
  return double(f) > double(limit) ? std::nextafterf(f, 0) : f;
}

}  // namespace

Replica::Replica(const gramme_replica_shape& s, const at::Tensor& weights_, const at::Tensor& gradient_)
    : shape(s), device(weights_.device()), rows(s.total / row), weights(weights_.detach()), gradient(gradient_.detach()) {
  if (s.total % row != 0 || weights.numel() != s.total || gradient.numel() != s.total) throw std::runtime_error("weights and gradient do not fit the layout");
  at::TensorOptions here = at::TensorOptions().device(device);
  moment1 = at::zeros({s.total}, here.dtype(at::kFloat));
  moment2 = at::zeros({s.total}, here.dtype(at::kFloat));
  sum = at::zeros({s.total}, here.dtype(at::kInt));
  words = at::zeros({rows + 1, row}, here.dtype(at::kInt));
  std::vector<int64_t> owner(rows, 0);
  for (int64_t k = 0; k < s.tensors; k++) {
    if (s.offsets[k] % row != 0) throw std::runtime_error("a tensor begins inside a row");
    for (int64_t r = s.offsets[k] / row; r * row < s.offsets[k] + s.lengths[k]; r++) owner[r] = k;
  }
  tensor_of_row = from_host(owner.data(), rows, at::kLong, device);
  int64_t longest = 0;
  for (int64_t u = 0; u < s.units; u++) {
    if (s.unit_begins[u] % row != 0) throw std::runtime_error("a unit of the norm begins inside a row");
    longest = std::max(longest, (s.unit_ends[u] - s.unit_begins[u] + row - 1) / row);
  }
  // Lanes are whole rows, or rows are whole lanes.
  int64_t together = std::max<int64_t>(1, s.lanes / row);
  unit_rows = (longest + together - 1) / together * together;
  if (std::max(s.lanes, row) % std::min(s.lanes, row) != 0) throw std::runtime_error("lanes do not fit rows");
  std::vector<int64_t> places(s.units * unit_rows, rows);  // beyond a unit: the row of zeros
  for (int64_t u = 0; u < s.units; u++) {
    for (int64_t r = s.unit_begins[u] / row, at = u * unit_rows; r * row < s.unit_ends[u]; r++) places[at++] = r;
    tensor_of_unit.push_back(owner[s.unit_begins[u] / row]);
  }
  rows_of_unit = from_host(places.data(), places.size(), at::kLong, device);
}

at::Tensor Replica::per_row(const at::Tensor& values) const {
  return at::index_select(values.to(device), 0, tensor_of_row).unsqueeze(1);
}

at::Tensor Replica::per_unit(const at::Tensor& values) const {
  at::Tensor none = at::zeros({1}, values.options());
  return at::index_select(at::cat({values, none}), 0, rows_of_unit).view({shape.units, unit_rows});
}

// Memory that the system cannot move, so that a GPU copies it by itself, without a copy of the
// copy.
int32_t* Replica::host_words(int64_t n) {
  lent.push_back(at::zeros({n}, at::TensorOptions().dtype(at::kInt).pinned_memory(device.is_cuda())));
  return lent.back().data_ptr<int32_t>();
}

void Replica::reset() { sum.zero_(); }

void Replica::add(const float* scales, int32_t limit, float* largest, int64_t* clamped, int* infinite) {
  at::Tensor g = gradient.view({rows, row});
  std::fill_n(largest, shape.tensors, 0.0f);
  std::fill_n(clamped, shape.tensors, 0);
  at::Tensor top = at::amax(per_unit(at::amax(g.abs(), 1)), 1).to(at::kCPU);  // a NaN wins
  const float* tops = top.data_ptr<float>();
  bool fits = true;
  *infinite = 0;
  for (int64_t u = 0; u < shape.units; u++) {
    int64_t k = tensor_of_unit[u];
    if (!std::isfinite(tops[u])) {
      *infinite = 1;
    } else {
      largest[k] = std::max(largest[k], tops[u]);
    }
    fits = fits && double(tops[u]) * double(scales[k]) <= double(limit);
  }
  if (shape.floats) {
    sum.view(at::kFloat).add_(gradient);
    return;
  }
  at::Tensor scale = per_row(from_host(scales, shape.tensors, at::kFloat, at::kCPU));
  if (fits) {
    add_fitting(g, scale);
  } else {
    add_clamped(g, scale, limit, *infinite ? largest : nullptr, clamped);
  }
}

// A product with a power of two is exact where the element fits, but for one below the normal
// numbers, which rounds to 0 either way.
void Replica::add_fitting(const at::Tensor& g, const at::Tensor& scale) {
  at::Tensor to = sum.view({rows, row});
  for (int64_t begin = 0; begin < rows; begin += slice / row) {
    int64_t n = std::min(slice / row, rows - begin);
    at::Tensor q = g.narrow(0, begin, n).mul(scale.narrow(0, begin, n)).round_();  // ties to even
    to.narrow(0, begin, n).add_(q.to(at::kInt));
  }
}

// add_clamped takes a gradient of which some elements do not fit or are not finite. largest
// is asked for where the maxima of all elements are of no use.
void Replica::add_clamped(const at::Tensor& g, const at::Tensor& scale, int32_t limit, float* largest, int64_t* clamped) {
  at::Tensor to = sum.view({rows, row});
  float most = largest_f32(limit);
  std::vector<at::Tensor> maxima, counts;
  for (int64_t begin = 0; begin < rows; begin += slice / row) {
    int64_t n = std::min(slice / row, rows - begin);
    at::Tensor part = g.narrow(0, begin, n), size = part.abs();
    at::Tensor finite = size.le(std::numeric_limits<float>::max());
    if (largest) maxima.push_back(at::amax(at::where(finite, size, 0), 1));
    at::Tensor v = at::where(finite, part, 0).mul(scale.narrow(0, begin, n));
    at::Tensor over = v.abs().gt(most);  // an infinity here is a product, too
    counts.push_back(over.sum(1));
    at::Tensor bound = at::where(v.lt(0), at::full({}, -limit, to.options()), at::full({}, limit, to.options()));
    at::Tensor q = at::where(over, 0, v).round_().to(at::kInt);
    to.narrow(0, begin, n).add_(at::where(over, bound, q));
  }
  at::Tensor count = per_unit(at::cat(counts)).sum(1).to(at::kCPU);
  for (int64_t u = 0; u < shape.units; u++) clamped[tensor_of_unit[u]] += count.data_ptr<int64_t>()[u];
  if (largest == nullptr) return;
  std::fill_n(largest, shape.tensors, 0.0f);
  at::Tensor top = at::amax(per_unit(at::cat(maxima)), 1).to(at::kCPU);
  for (int64_t u = 0; u < shape.units; u++) largest[tensor_of_unit[u]] = std::max(largest[tensor_of_unit[u]], top.data_ptr<float>()[u]);
}

void Replica::read_sum(int32_t* to) const { at::from_blob(to, {shape.total}, at::kInt).copy_(sum); }

void Replica::load_entry(const int32_t* entry) {
  words.narrow(0, 0, rows).copy_(at::from_blob(const_cast<int32_t*>(entry), {rows, row}, at::kInt));
}

at::Tensor Replica::numbers() const { return shape.floats ? words.view(at::kFloat) : words; }

void Replica::squares(double* to) const {
  at::Tensor from = numbers(), sums = at::empty({shape.units, shape.lanes}, words.options().dtype(at::kDouble));
  int64_t steps = unit_rows * row / shape.lanes, together = std::max<int64_t>(1, 4 * slice / (unit_rows * row));
  for (int64_t begin = 0; begin < shape.units; begin += together) {
    int64_t n = std::min(together, shape.units - begin);
    at::Tensor x = at::index_select(from, 0, rows_of_unit.narrow(0, begin * unit_rows, n * unit_rows)).to(at::kDouble);
    x = x.mul_(x).view({n, steps, shape.lanes});
    at::Tensor lanes = sums.narrow(0, begin, n);
    lanes.copy_(x.select(1, 0));
    for (int64_t k = 1; k < steps; k++) lanes.add_(x.select(1, k));
  }
  at::from_blob(to, {shape.units, shape.lanes}, at::kDouble).copy_(sums);
}

// What vector.AdamW does, in its order.
void Replica::update(const gramme_adamw& p, const double* quanta, const float* decays) {
  at::Tensor from = numbers(), quantum = per_row(from_host(quanta, shape.tensors, at::kDouble, at::kCPU));
  at::Tensor decay = per_row(from_host(decays, shape.tensors, at::kFloat, at::kCPU));
  auto part = [&](const at::Tensor& t, int64_t begin, int64_t n) { return t.view({-1, row}).narrow(0, begin, n); };
  for (int64_t begin = 0; begin < rows; begin += slice / row) {
    int64_t n = std::min(slice / row, rows - begin);
    at::Tensor w = part(weights, begin, n), m = part(moment1, begin, n), v = part(moment2, begin, n);
    at::Tensor g = from.narrow(0, begin, n).to(at::kDouble).mul_(quantum.narrow(0, begin, n)).to(at::kFloat).mul_(double(p.clip));
    m.mul_(double(p.beta1)).add_(g.mul(double(p.rest1)));
    v.mul_(double(p.beta2)).add_(g.mul_(g).mul_(double(p.rest2)));
    // By way of f64, since on a CPU libtorch's root of f32 is not always the nearest.
    at::Tensor root = v.mul(double(p.correct2)).to(at::kDouble).sqrt_().to(at::kFloat).add_(double(p.epsilon));
    at::Tensor u = m.mul(double(p.correct1)).div_(root);
    u.add_(w.mul(decay.narrow(0, begin, n))).mul_(double(p.rate));
    w.sub_(u);
  }
}

void Replica::read(float* w, float* m, float* v) const {
  at::from_blob(w, {shape.total}, at::kFloat).copy_(weights);
  at::from_blob(m, {shape.total}, at::kFloat).copy_(moment1);
  at::from_blob(v, {shape.total}, at::kFloat).copy_(moment2);
}

void Replica::write(const float* w, const float* m, const float* v) {
  weights.copy_(at::from_blob(const_cast<float*>(w), {shape.total}, at::kFloat));
  moment1.copy_(at::from_blob(const_cast<float*>(m), {shape.total}, at::kFloat));
  moment2.copy_(at::from_blob(const_cast<float*>(v), {shape.total}, at::kFloat));
}

namespace {

// with runs f on a replica, without autograd: weights are leaves of it.
template <class F>
char* with(gramme_replica r, F&& f) {
  return guard([&] {
    at::NoGradGuard no_grad;
    f(*static_cast<Replica*>(r));
  });
}

}  // namespace

char* gramme_replica_new(gramme_replica_shape s, gramme_tensor weights, gramme_tensor gradient, gramme_replica* out) {
  return guard([&] {
    at::NoGradGuard no_grad;
    *out = new Replica(s, tensor(weights), tensor(gradient));
  });
}

void gramme_replica_free(gramme_replica r) { delete static_cast<Replica*>(r); }

char* gramme_replica_words(gramme_replica r, int64_t n, int32_t** out) {
  return with(r, [&](Replica& it) { *out = it.host_words(n); });
}

char* gramme_replica_reset(gramme_replica r) {
  return with(r, [](Replica& it) { it.reset(); });
}

char* gramme_replica_add(gramme_replica r, const float* scales, int32_t limit, float* largest, int64_t* clamped, int* infinite) {
  return with(r, [&](Replica& it) { it.add(scales, limit, largest, clamped, infinite); });
}

char* gramme_replica_read_sum(gramme_replica r, int32_t* to) {
  return with(r, [&](Replica& it) { it.read_sum(to); });
}

char* gramme_replica_load_entry(gramme_replica r, const int32_t* words) {
  return with(r, [&](Replica& it) { it.load_entry(words); });
}

char* gramme_replica_squares(gramme_replica r, double* to) {
  return with(r, [&](Replica& it) { it.squares(to); });
}

char* gramme_replica_update(gramme_replica r, gramme_adamw p, const double* quanta, const float* decays) {
  return with(r, [&](Replica& it) { it.update(p, quanta, decays); });
}

char* gramme_replica_read(gramme_replica r, float* weights, float* moment1, float* moment2) {
  return with(r, [&](Replica& it) { it.read(weights, moment1, moment2); });
}

char* gramme_replica_write(gramme_replica r, const float* weights, const float* moment1, const float* moment2) {
  return with(r, [&](Replica& it) { it.write(weights, moment1, moment2); });
}
