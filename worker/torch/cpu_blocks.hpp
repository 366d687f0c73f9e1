// The products of small blocks, by oneDNN or by the tiles of AMX. Included inside a
// namespace, under a target.

// product sets c [m, n] to a [m, k] · b, or adds to it. b is packed, n columns wide.
template <class E>
void product(int64_t m, int64_t n, int64_t k, const E* a, int64_t a_stride, const E* b, float* c, int64_t c_stride, bool add) {
  at::native::cpublas::brgemm(m, n, k, a_stride, n, c_stride, add, a, b, c, sizeof(E) == 2);
}

#if TILES

// A tile holds 16 rows of 64 bytes.
constexpr int64_t tile_rows = 16, tile_depth = 32;

thread_local bool tiles_ready = false;

inline void prepare_tiles() {
  if (tiles_ready) return;
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  _tile_loadconfig(&config);
  tiles_ready = true;
}

// tile_block computes up to 2 by 2 tiles of a product; the four sums stay in registers. Two
// tiles of each operand serve four multiplications.
template <bool two_rows, bool two_columns>
inline void tile_block(int64_t k, const BF16* a, int64_t a_stride, const BF16* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  float *lower = c + tile_rows * c_stride, *right = c + 16;
  if (add) {
    _tile_loadd(0, c, c_stride * 4);
    if constexpr (two_columns) _tile_loadd(1, right, c_stride * 4);
    if constexpr (two_rows) _tile_loadd(2, lower, c_stride * 4);
    if constexpr (two_rows && two_columns) _tile_loadd(3, lower + 16, c_stride * 4);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t p = 0; p < k; p += tile_depth, a += tile_depth, b += tile_depth / 2 * b_stride) {
    _tile_loadd(4, a, a_stride * 2);
    _tile_loadd(6, b, b_stride * 2);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (two_columns) {
      _tile_loadd(7, b + 32, b_stride * 2);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (two_rows) {
      _tile_loadd(5, a + tile_rows * a_stride, a_stride * 2);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, c_stride * 4);
  if constexpr (two_columns) _tile_stored(1, right, c_stride * 4);
  if constexpr (two_rows) _tile_stored(2, lower, c_stride * 4);
  if constexpr (two_rows && two_columns) _tile_stored(3, lower + 16, c_stride * 4);
}

template <>
inline void product(int64_t m, int64_t n, int64_t k, const BF16* a, int64_t a_stride, const BF16* b, float* c, int64_t c_stride, bool add) {
  prepare_tiles();
  for (int64_t i = 0; i < m; i += 32) {
    for (int64_t j = 0; j < n; j += 32) {
      auto f = m - i > 16 ? (n - j > 16 ? tile_block<true, true> : tile_block<true, false>) : (n - j > 16 ? tile_block<false, true> : tile_block<false, false>);
      f(k, a + i * a_stride, a_stride, b + 2 * j, 2 * n, c + i * c_stride + j, c_stride, add);
    }
  }
}

inline void end_products() {
  _mm_sfence();
  if (tiles_ready) _tile_release();
  tiles_ready = false;
}

#else

inline void end_products() {
  _mm_sfence();
  at::native::cpublas::brgemm_release(true);
}

#endif
