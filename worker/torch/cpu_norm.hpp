// Layer norm with what stands around it: dropout and the residual sum before it in a
// layer, dropout after it in the embeddings. Included inside a namespace, under a target.

// RowStats are those of one row: the normalised row is (z - mean)·rate.
struct RowStats {
  float mean, rate;
};

template <class E>
RowStats row_stats(const E* z, int64_t width, float eps) {
  Vec sum{}, squares{};
  for (int64_t j = 0; j < width; j += lanes) sum += load(z + j);
  float mean = total(sum) / width;
  for (int64_t j = 0; j < width; j += lanes) {
    Vec d = load(z + j) - mean;
    squares += d * d;
  }
  return {mean, 1 / std::sqrt(total(squares) / width + eps)};
}

template <class E>
void normalize_row(const E* z, int64_t width, RowStats s, const float* weight, const float* bias, E* out) {
  for (int64_t j = 0; j < width; j += lanes) store(out + j, (load(z + j) - s.mean) * s.rate * load(weight + j) + load(bias + j));
}

// denormalize_row turns the gradient g of a normalised row into that of z, in f32, and
// adds to the sums of the gradients of weight and bias.
template <class E>
void denormalize_row(const E* z, int64_t width, RowStats s, const float* weight, float* g, float* weight_sum, float* bias_sum) {
  Vec first{}, second{};
  for (int64_t j = 0; j < width; j += lanes) {
    Vec hat = (load(z + j) - s.mean) * s.rate, d = load(g + j), scaled = d * load(weight + j);
    store(weight_sum + j, load(weight_sum + j) + d * hat);
    store(bias_sum + j, load(bias_sum + j) + d);
    first += scaled;
    second += scaled * hat;
  }
  float a = total(first) / width, b = total(second) / width;
  for (int64_t j = 0; j < width; j += lanes) {
    Vec hat = (load(z + j) - s.mean) * s.rate;
    store(g + j, (load(g + j) * load(weight + j) - a - hat * b) * s.rate);
  }
}

// Sums adds rows of several columns: rows of one piece in their order, then the pieces,
// so that the sum does not depend on the number of threads.
struct Sums {
  std::vector<float, Aligned<float>> parts;
  int64_t pieces = 0, width = 0;

  static constexpr int64_t piece = 32;  // rows

  void begin(int64_t rows, int64_t columns) {
    pieces = (rows + piece - 1) / piece, width = columns;
    parts.assign(size_t(pieces * width), 0);
  }
  float* of(int64_t p) { return parts.data() + p * width; }
  // end writes n columns from `from` on.
  void end(int64_t from, int64_t n, float* to) {
    std::memset(to, 0, size_t(n) * 4);
    for (int64_t p = 0; p < pieces; p++) {
      for (int64_t j = 0; j < n; j++) to[j] += of(p)[from + j];
    }
  }
};
