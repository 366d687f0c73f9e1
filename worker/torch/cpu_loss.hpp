// Cross-entropy over rows of logits, which become their own gradient. Included inside a
// namespace, under a target.

struct RowLoss {
  double loss;
  bool right;
};

// cross_entropy_row turns logits into the gradient of scale times their loss. Elements
// from width on up to stride become 0.
template <class E>
RowLoss cross_entropy_row(E* x, int64_t width, int64_t stride, int64_t label, float scale, bool gradient) {
  float high = scalar(x[0]);
  int64_t whole = width / lanes * lanes, best = 0;
  Vec top = splat(high);
  for (int64_t j = 0; j < whole; j += lanes) top = larger(load(x + j), top);
  high = largest(top);
  for (int64_t j = whole; j < width; j++) high = std::max(high, scalar(x[j]));
  while (best < width && scalar(x[best]) != high) best++;
  // The exponentials wait here for their sum.
  float* powers = scratch(size_t(stride));
  double sum = 0;
  Vec sums{};
  int64_t j = 0;
  for (; j < whole; j += lanes) {
    Vec e = exponential(load(x + j) - high);
    store(powers + j, e);
    sums += e;
    if (j % 4096 == 0) sum += total(sums), sums = Vec{};  // sums of many small numbers lose less
  }
  sum += total(sums);
  for (; j < width; j++) sum += powers[j] = std::exp(scalar(x[j]) - high);
  RowLoss result{std::log(sum) + high - scalar(x[label]), best == label};
  if (!gradient) return result;
  float share = float(scale / sum), at_label = scalar(x[label]);
  for (j = 0; j < whole; j += lanes) store(x + j, load(powers + j) * share);
  for (; j < width; j++) x[j] = E(powers[j] * share);
  x[label] = E(float(std::exp(double(at_label) - high) / sum - 1) * scale);
  for (; j < stride; j++) x[j] = E(0);
  return result;
}
