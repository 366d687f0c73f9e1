// Matrix products from oneDNN's small blocks, with what follows a product done while its
// block is in the cache. Included inside a namespace, under a target.

constexpr int64_t tile = 64;       // rows and columns of a block of a product
constexpr int64_t depth_of = 512;  // of the inner dimension at once, so that the operands fit the cache

inline float* scratch(size_t floats) {
  thread_local std::vector<float, Aligned<float>> memory;
  if (memory.size() < floats) memory.resize(floats);
  return memory.data();
}

// block adds a block of a product: c [m, n] += a [m, k] · b, where b is packed, n columns
// wide. fresh overwrites c. Sums run over k in pieces of depth_of, always the same.
template <class E>
void block(int64_t m, int64_t n, int64_t k, const E* a, int64_t a_stride, const E* b, float* c, int64_t c_stride, bool fresh) {
  for (int64_t at = 0; at < k; at += depth_of) {
    int64_t part = std::min(depth_of, k - at);
    at::native::cpublas::brgemm(m, n, part, a_stride, n, c_stride, !fresh || at > 0, a + at, b + at * n, c, sizeof(E) == 2);
  }
}

// Packed is a right operand [k, n], in blocks of tile columns.
template <class E>
struct Packed {
  std::vector<E, Aligned<E>> data;
  int64_t k = 0, n = 0, depth = 0;

  void shape(int64_t rows, int64_t columns) {
    k = rows, n = columns, depth = round_up(rows, pair<E>);
    data.resize(size_t(blocks() * depth * tile));
  }
  int64_t blocks() const { return (n + tile - 1) / tile; }
  E* at(int64_t b) { return data.data() + b * depth * tile; }
  const E* at(int64_t b) const { return data.data() + b * depth * tile; }
  int64_t width(int64_t b) const { return std::min(tile, n - b * tile); }
};

// multiply computes a [m, k] · b block by block and gives each to use(row, rows, column,
// columns, values, stride). Rows of a up to a multiple of 32 must be readable.
template <class E, class F>
void multiply(const E* a, int64_t a_stride, int64_t m, const Packed<E>& b, const F& use) {
  int64_t rows = (m + tile - 1) / tile, columns = b.blocks();
  parallel(rows * columns, [&](int64_t i) {
    alignas(64) float c[tile * tile];
    int64_t row = i / columns * tile, column = i % columns;
    int64_t height = std::min(tile, m - row);
    block(round_up(height, 32), tile, b.depth, a + row * a_stride, a_stride, b.at(column), c, tile, true);
    use(row, height, column * tile, b.width(column), c, tile);
  });
}

// multiply_rows is multiply for what needs whole rows of the product.
template <class E, class F>
void multiply_rows(const E* a, int64_t a_stride, int64_t m, const Packed<E>& b, const F& use) {
  // By the shape alone: the number of threads must not change how a product is cut.
  int64_t height = m >= 8 * tile ? tile : tile / 2, width = b.blocks() * tile;
  parallel((m + height - 1) / height, [&](int64_t i) {
    float* c = scratch(size_t(height * width));
    int64_t row = i * height;
    for (int64_t j = 0; j < b.blocks(); j++) {
      block(height, tile, b.depth, a + row * a_stride, a_stride, b.at(j), c + j * tile, width, true);
    }
    use(row, std::min(height, m - row), c, width);
  });
}

// Outer computes gradients of weights: the transposed gradient of a product's result
// times its left operand, summed over all tokens.
template <class E>
struct Outer {
  std::vector<E, Aligned<E>> left;  // [n, tokens]
  Packed<E> right;                  // [tokens, k]

  // set_right takes the left operand of the forward product, [tokens, k].
  void set_right(const E* x, int64_t stride, int64_t tokens, int64_t k) {
    right.shape(round_up(tokens, 32), k);
    parallel(right.blocks(), [&](int64_t b) {
      pack_rows(x + b * tile, stride, tokens, right.width(b), tile, right.depth, right.at(b));
    });
  }

  // set_left takes the gradient of the result, [tokens, n], and writes its sums over the
  // tokens, the gradient of the bias.
  void set_left(const E* g, int64_t stride, int64_t tokens, int64_t n, float* bias) {
    int64_t depth = round_up(tokens, 32);
    left.resize(size_t(round_up(n, tile) * depth));
    parallel((n + tile - 1) / tile, [&](int64_t b) {
      int64_t width = std::min(tile, n - b * tile);
      E* to = left.data() + b * tile * depth;
      transpose(g + b * tile, stride, tokens, width, to, depth, (uint32_t*)scratch(size_t((tokens + 1) / 2 * width)));
      for (int64_t j = 0; j < width; j++) {
        Vec sum{};
        for (int64_t t = 0; t < depth; t += lanes) sum += load(to + j * depth + t);
        bias[b * tile + j] = total(sum);
      }
    });
  }

  // write puts rows [from, from+n) of the product into to [n, k].
  void write(int64_t from, int64_t n, float* to) {
    int64_t depth = right.depth, rows = (n + tile - 1) / tile, columns = right.blocks();
    parallel(rows * columns, [&](int64_t i) {
      alignas(64) float c[tile * tile];
      int64_t row = i / columns * tile, column = i % columns, height = std::min(tile, n - row), width = right.width(column);
      bool whole = width == tile && height == tile;
      float* result = whole ? to + row * right.n + column * tile : c;
      int64_t stride = whole ? right.n : tile;
      block(whole ? tile : height, tile, depth, left.data() + (from + row) * depth, depth, right.at(column), result, stride, true);
      if (whole) return;
      for (int64_t r = 0; r < height; r++) std::memcpy(to + (row + r) * right.n + column * tile, c + r * tile, size_t(width) * 4);
    });
  }
};
