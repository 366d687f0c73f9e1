// Layouts of the operands of a product. The right operand [K, N] stands in blocks of
// `width` columns: block, K, column; in bf16 two rows stand interleaved, as the dot
// products of pairs want them. Columns and rows beyond the matrix are 0.
// Included inside a namespace, under a target.

// exchange makes one step of a transpose: it swaps the blocks of n by n words beside the
// diagonal, in every pair of rows that stand n apart.
template <int64_t n>
inline void exchange(VecU* rows) {
  VecU upper, lower;
  for (int64_t j = 0; j < lanes; j++) {
    upper[j] = uint32_t((j & n) == 0 ? j : lanes + j - n);
    lower[j] = uint32_t((j & n) == 0 ? j + n : lanes + j);
  }
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; i++) {
    if ((i & n) != 0) continue;
    VecU a = rows[i], b = rows[i + n];
    rows[i] = __builtin_shuffle(a, b, upper);
    rows[i + n] = __builtin_shuffle(a, b, lower);
  }
}

// transpose_square writes the transpose of lanes by lanes words (Eklundh, "A fast computer
// method for matrix transposing", 1972).
inline void transpose_square(const uint32_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  VecU rows[lanes];
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; i++) std::memcpy(&rows[i], from + i * stride, sizeof rows[i]);
  if constexpr (lanes == 16) exchange<8 % lanes>(rows);
  exchange<4>(rows), exchange<2>(rows), exchange<1>(rows);
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; i++) std::memcpy(to + i * to_stride, &rows[i], sizeof rows[i]);
}

inline void transpose_words(const uint32_t* from, int64_t stride, int64_t rows, int64_t columns, uint32_t* to, int64_t to_stride) {
  int64_t i = 0;
  for (; i + lanes <= rows; i += lanes) {
    int64_t j = 0;
    for (; j + lanes <= columns; j += lanes) transpose_square(from + i * stride + j, stride, to + j * to_stride + i, to_stride);
    for (; j < columns; j++) {
      for (int64_t k = 0; k < lanes; k++) to[j * to_stride + i + k] = from[(i + k) * stride + j];
    }
  }
  for (; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to[j * to_stride + i] = from[i * stride + j];
  }
}

// interleave puts `columns` pairs of two rows side by side; a null row counts as 0.
inline void interleave(const BF16* a, const BF16* b, int64_t columns, uint32_t* to) {
  int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    VecU pair = widen(&a[j].x);
    if (b != nullptr) pair |= widen(&b[j].x) << 16;
    std::memcpy(to + j, &pair, sizeof pair);
  }
  for (; j < columns; j++) to[j] = uint32_t(a[j].x) | (b == nullptr ? 0 : uint32_t(b[j].x) << 16);
}

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <class E>
constexpr int64_t pair = sizeof(E) == 2 ? 2 : 1;  // rows that stand interleaved

// deep is what the inner dimension of a product is a multiple of.
template <class E>
constexpr int64_t deep = sizeof(E) == 2 && TILES ? 32 : pair<E>;

// pack_rows packs one block of up to `width` columns of a matrix [K, N] that stands in
// rows: K rows, or more up to `depth`.
template <class E>
void pack_rows(const E* from, int64_t stride, int64_t k, int64_t columns, int64_t width, int64_t depth, E* to) {
  if (columns < width) std::memset((void*)to, 0, depth * width * sizeof(E));
  for (int64_t i = 0; i < k; i += pair<E>) {
    if constexpr (sizeof(E) == 2) {
      interleave(from + i * stride, i + 1 < k ? from + (i + 1) * stride : nullptr, columns, (uint32_t*)(to + i * width));
    } else {
      std::memcpy(to + i * width, from + i * stride, columns * sizeof(E));
    }
  }
  int64_t done = round_up(k, pair<E>);
  if (done < depth) std::memset((void*)(to + done * width), 0, (depth - done) * width * sizeof(E));
}

// pack_columns packs one block of a matrix [K, N] of which the transpose [N, K] stands in
// rows: up to `width` rows of that. K is even in bf16.
template <class E>
void pack_columns(const E* from, int64_t stride, int64_t columns, int64_t k, int64_t width, E* to) {
  if (columns < width) std::memset((void*)to, 0, k * width * sizeof(E));
  constexpr int64_t words = 4 / sizeof(E);
  transpose_words((const uint32_t*)from, stride / words, columns, k / words, (uint32_t*)to, width);
}

// transpose writes a matrix [rows, columns] as [columns, depth], depth at least rows; the
// rest is 0. scratch holds `columns` words a pair of rows.
template <class E>
void transpose(const E* from, int64_t stride, int64_t rows, int64_t columns, E* to, int64_t depth, uint32_t* scratch) {
  if constexpr (sizeof(E) == 2) {
    int64_t pairs = (rows + 1) / 2;
    for (int64_t i = 0; i < pairs; i++) {
      interleave(from + 2 * i * stride, 2 * i + 1 < rows ? from + (2 * i + 1) * stride : nullptr, columns, scratch + i * columns);
    }
    transpose_words(scratch, columns, pairs, columns, (uint32_t*)to, depth / 2);
  } else {
    transpose_words((const uint32_t*)from, stride, rows, columns, (uint32_t*)to, depth);
  }
  int64_t done = round_up(rows, pair<E>);
  if (done < depth) {
    for (int64_t j = 0; j < columns; j++) std::memset((void*)(to + j * depth + done), 0, (depth - done) * sizeof(E));
  }
}
