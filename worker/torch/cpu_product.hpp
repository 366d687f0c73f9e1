// Matrix products from oneDNN's small blocks, with what follows a product done while its
// block is in the cache. Included inside a namespace, under a target.

constexpr int64_t tile = 64;       // rows and columns of a block of a product
constexpr int64_t depth_of = 512;  // of the inner dimension at once, so that the operands fit the cache

// parallel calls f(i) for 0 <= i < n, on the threads of the pool. What they stream to memory
// is there when it returns.
template <class F>
void parallel(int64_t n, const F& f) {
  in_parallel(n, f, end_products);
}

inline float* scratch(size_t floats) {
  thread_local std::vector<float, Aligned<float>> memory;
  if (memory.size() < floats) memory.resize(floats);
  return memory.data();
}

// block adds a block of a product: c [m, n] += a [m, k] · b, where b is packed, n columns
// wide. fresh overwrites c. Sums run over k in pieces of depth_of, always the same. Rows of
// a and c up to a multiple of 16 must be there.
template <class E>
void block(int64_t m, int64_t n, int64_t k, const E* a, int64_t a_stride, const E* b, float* c, int64_t c_stride, bool fresh) {
  for (int64_t at = 0; at < k; at += depth_of) {
    int64_t part = std::min(depth_of, k - at);
    product(m, n, part, a + at, a_stride, b + at * n, c, c_stride, !fresh || at > 0);
  }
}

// Packed is a right operand [k, n], in blocks of tile columns.
template <class E>
struct Packed {
  std::vector<E, Aligned<E>> data;
  int64_t k = 0, n = 0, depth = 0;

  void shape(int64_t rows, int64_t columns) {
    k = rows, n = columns, depth = round_up(rows, deep<E>);
    data.resize(size_t(blocks() * depth * tile));
  }
  int64_t blocks() const { return (n + tile - 1) / tile; }
  E* at(int64_t b) { return data.data() + b * depth * tile; }
  const E* at(int64_t b) const { return data.data() + b * depth * tile; }
  int64_t width(int64_t b) const { return std::min(tile, n - b * tile); }
};

// Grid is the order in which the blocks of a product are computed: down the columns of as
// many rows of the left operand as stay in the cache, so that the right one streams by.
struct Grid {
  int64_t rows, columns, group;

  Grid(int64_t m, int64_t blocks, int64_t row_bytes) : rows((m + tile - 1) / tile), columns(blocks) {
    constexpr int64_t cache = 512 << 10;
    group = std::max<int64_t>(1, cache / (tile * row_bytes));
  }
  int64_t size() const { return rows * columns; }

  // at gives the first row of block i, and the number of its column.
  std::pair<int64_t, int64_t> at(int64_t i) const {
    int64_t above = i / (group * columns) * group, height = std::min(group, rows - above);
    i -= above * columns;
    return {(above + i % height) * tile, i / height};
  }
};

// multiply computes a [m, k] · b block by block and gives each to use(row, rows, column,
// columns, values): `tile` values a row. Rows of a up to a multiple of 32 must be readable.
template <class E, class F>
void multiply(const E* a, int64_t a_stride, int64_t m, const Packed<E>& b, const F& use) {
  Grid grid(m, b.blocks(), b.depth * int64_t(sizeof(E)));
  parallel(grid.size(), [&](int64_t i) {
    alignas(64) float c[tile * tile];
    auto [row, column] = grid.at(i);
    int64_t height = std::min(tile, m - row);
    block(round_up(height, 32), tile, b.depth, a + row * a_stride, a_stride, b.at(column), c, tile, true);
    use(row, height, column * tile, b.width(column), c);
  });
}

// multiply_each gives a · b to use(values, place, column) vector by vector: place is that of
// the first value in a matrix with rows of `stride` elements.
template <class E, class F>
void multiply_each(const E* a, int64_t a_stride, int64_t m, const Packed<E>& b, int64_t stride, const F& use) {
  multiply(a, a_stride, m, b, [&](int64_t row, int64_t n, int64_t column, int64_t columns, const float* c) {
    for (int64_t r = 0; r < n; r++) {
      for (int64_t j = 0; j < columns; j += lanes) use(load(c + r * tile + j), (row + r) * stride + column + j, column + j);
    }
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
    int64_t depth = right.depth;
    Grid grid(n, right.blocks(), depth * int64_t(sizeof(E)));
    parallel(grid.size(), [&](int64_t i) {
      alignas(64) float c[tile * tile];
      auto [row, column] = grid.at(i);
      int64_t height = std::min(tile, n - row), width = right.width(column);
      block(round_up(height, 16), tile, depth, left.data() + (from + row) * depth, depth, right.at(column), c, tile, true);
      for (int64_t r = 0; r < height; r++) stream(c + r * tile, width, to + (row + r) * right.n + column * tile);
    });
  }
};
