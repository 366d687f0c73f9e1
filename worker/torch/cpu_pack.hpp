// Layouts of the operands of a product. The right operand [K, N] stands in blocks of
// `width` columns: block, K, column; in bf16 two rows stand interleaved, as the dot
// products of pairs want them. Columns and rows beyond the matrix are 0.
// Included inside a namespace, under a target.

typedef uint32_t Oct __attribute__((vector_size(32)));

inline Oct load_oct(const uint32_t* p) {
  Oct v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// transpose_8 writes the transpose of 8 by 8 words.
inline void transpose_8(const uint32_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  Oct r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = load_oct(from + i * stride);
  const Oct low = {0, 8, 1, 9, 4, 12, 5, 13}, high = {2, 10, 3, 11, 6, 14, 7, 15};
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shuffle(r[i], r[i + 1], low);
    t[i + 1] = __builtin_shuffle(r[i], r[i + 1], high);
  }
  const Oct low2 = {0, 1, 8, 9, 4, 5, 12, 13}, high2 = {2, 3, 10, 11, 6, 7, 14, 15};
  for (int i = 0; i < 8; i += 4) {
    r[i] = __builtin_shuffle(t[i], t[i + 2], low2);
    r[i + 1] = __builtin_shuffle(t[i], t[i + 2], high2);
    r[i + 2] = __builtin_shuffle(t[i + 1], t[i + 3], low2);
    r[i + 3] = __builtin_shuffle(t[i + 1], t[i + 3], high2);
  }
  const Oct left = {0, 1, 2, 3, 8, 9, 10, 11}, right = {4, 5, 6, 7, 12, 13, 14, 15};
  for (int i = 0; i < 4; i++) {
    t[i] = __builtin_shuffle(r[i], r[i + 4], left);
    t[i + 4] = __builtin_shuffle(r[i], r[i + 4], right);
  }
  for (int i = 0; i < 8; i++) std::memcpy(to + i * to_stride, &t[i], sizeof t[i]);
}

inline void transpose_words(const uint32_t* from, int64_t stride, int64_t rows, int64_t columns, uint32_t* to, int64_t to_stride) {
  int64_t i = 0;
  for (; i + 8 <= rows; i += 8) {
    int64_t j = 0;
    for (; j + 8 <= columns; j += 8) transpose_8(from + i * stride + j, stride, to + j * to_stride + i, to_stride);
    for (; j < columns; j++) {
      for (int64_t k = 0; k < 8; k++) to[j * to_stride + i + k] = from[(i + k) * stride + j];
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
