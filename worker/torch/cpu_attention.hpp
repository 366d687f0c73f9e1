// Attention of one row and head at a time, blocks of queries against all keys: scores,
// softmax, dropout and the sum of the values stay in the cache. Included inside a
// namespace, under a target.

// HeadShape says where the queries, keys and values of a head stand.
struct HeadShape {
  int64_t rows, seq, heads, width, hidden;
  int64_t keys() const { return round_up(seq, 32); }                            // padded
  int64_t key_block() const { return keys() % tile == 0 ? tile : 32; }
  int64_t value_width() const { return round_up(width, width > 32 ? tile : 16); }  // padded
  int64_t value_block() const { return width > 32 ? tile : round_up(width, 16); }
};

// HeadOperand packs the right operands of a head's products.
template <class E>
struct HeadOperand {
  // columns packs [seq, width] transposed: [width, keys].
  static void columns(const E* from, const HeadShape& s, E* to) {
    for (int64_t b = 0; b < s.keys(); b += s.key_block()) {
      int64_t n = std::max(int64_t(0), std::min(s.key_block(), s.seq - b));
      pack_columns(from + b * 3 * s.hidden, 3 * s.hidden, n, s.width, s.key_block(), to + b * s.width);
    }
  }
  // rows packs [k, width], with depth rows.
  static void rows(const E* from, int64_t stride, int64_t k, int64_t depth, const HeadShape& s, E* to) {
    for (int64_t b = 0; b < s.value_width(); b += s.value_block()) {
      int64_t n = std::max(int64_t(0), std::min(s.value_block(), s.width - b));
      pack_rows(from + b, stride, k, n, s.value_block(), depth, to + b * depth);
    }
  }
};

template <class E>
void products(int64_t m, int64_t k, const E* a, int64_t a_stride, const E* b, int64_t width, int64_t n_block, float* c, bool fresh) {
  for (int64_t j = 0; j < width; j += n_block) block(m, n_block, k, a, a_stride, b + j * round_up(k, pair<E>), c + j, width, fresh);
}

template <class E>
E* part(char*& memory, int64_t n) {
  E* p = (E*)memory;
  memory += round_up(n * int64_t(sizeof(E)), 64);
  return p;
}

// attend computes the context [tokens, hidden] of qkv [tokens, 3·hidden]. It keeps the
// probabilities [row, head, seq, keys]: negative where dropout drops one. bias [rows,
// keys] is added to the scores.
template <class E>
void attend(const HeadShape& s, const E* qkv, const float* bias, const Dropout* drop, E* probabilities, E* context) {
  int64_t keys = s.keys(), stride = 3 * s.hidden;
  float scale = 1 / std::sqrt(float(s.width));
  parallel(s.rows * s.heads, [&](int64_t i) {
    int64_t row = i / s.heads, head = i % s.heads;
    const E* q = qkv + row * s.seq * stride + head * s.width;
    char* memory = (char*)scratch(size_t(keys * (s.width + s.value_width()) + 2 * tile * keys + tile * s.value_width() + 256));
    E* k = part<E>(memory, keys * s.width);
    E* v = part<E>(memory, keys * s.value_width());
    float* scores = part<float>(memory, tile * keys);
    E* kept = part<E>(memory, tile * keys);
    float* sums = part<float>(memory, tile * s.value_width());
    HeadOperand<E>::columns(q + s.hidden, s, k);
    HeadOperand<E>::rows(q + 2 * s.hidden, stride, s.seq, keys, s, v);
    for (int64_t first = 0; first < s.seq; first += tile) {
      int64_t n = std::min(tile, s.seq - first);
      products(n, s.width, q + first * stride, stride, k, keys, s.key_block(), scores, true);
      for (int64_t r = 0; r < n; r++) {
        float* x = scores + r * keys;
        Vec top = splat(-3e38f);
        for (int64_t j = 0; j < keys; j += lanes) {
          Vec y = load(x + j) * scale + load(bias + row * keys + j);
          top = larger(y, top);
          store(x + j, y);
        }
        float highest = largest(top);
        Vec sum{};
        for (int64_t j = 0; j < keys; j += lanes) {
          Vec e = exponential(load(x + j) - highest);
          sum += e;
          store(x + j, e);
        }
        float share = 1 / total(sum);
        int64_t at = (i * s.seq + first + r) * keys;
        for (int64_t j = 0; j < keys; j += lanes) {
          Vec p = load(x + j) * share;
          if (drop != nullptr) {
            Vec keep = drop->keep(uint32_t(at + j));
            store(kept + r * keys + j, p * keep);
            p = keep == 0.0f ? -p : p;
          }
          store(probabilities + at + j, p);
        }
      }
      const E* left = drop != nullptr ? kept : probabilities + (i * s.seq + first) * keys;
      products(n, keys, left, keys, v, s.value_width(), s.value_block(), sums, true);
      for (int64_t r = 0; r < n; r++) {
        E* to = context + (row * s.seq + first + r) * s.hidden + head * s.width;
        convert(sums + r * s.value_width(), s.width, to);
      }
    }
  });
}

// attend_backward computes the gradient of qkv from that of the context.
template <class E>
void attend_backward(const HeadShape& s, const E* qkv, const E* probabilities, const Dropout* drop, const E* gradient, E* out) {
  int64_t keys = s.keys(), stride = 3 * s.hidden, values = s.value_width();
  float scale = 1 / std::sqrt(float(s.width)), kept = drop != nullptr ? drop->scale : 1;
  parallel(s.rows * s.heads, [&](int64_t i) {
    int64_t row = i / s.heads, head = i % s.heads;
    const E* q = qkv + row * s.seq * stride + head * s.width;
    const E* g = gradient + row * s.seq * s.hidden + head * s.width;
    E* to = out + row * s.seq * stride + head * s.width;
    char* memory = (char*)scratch(size_t(keys * (s.width + values) + 6 * tile * keys + 4 * tile * values + 2 * keys * values + 1024));
    E* v = part<E>(memory, keys * s.width);
    E* k = part<E>(memory, keys * values);
    float* scores = part<float>(memory, tile * keys);
    E* dropped = part<E>(memory, tile * keys);
    E* slopes = part<E>(memory, tile * keys);
    E* turned = part<E>(memory, tile * keys);
    uint32_t* words = part<uint32_t>(memory, tile * keys);
    E* operand = part<E>(memory, tile * values);
    float* sums = part<float>(memory, tile * values);
    float* dk = part<float>(memory, keys * values);
    float* dv = part<float>(memory, keys * values);
    HeadOperand<E>::columns(q + 2 * s.hidden, s, v);
    HeadOperand<E>::rows(q + s.hidden, stride, s.seq, keys, s, k);
    for (int64_t first = 0; first < s.seq; first += tile) {
      int64_t n = std::min(tile, s.seq - first), depth = round_up(n, 32);
      products(n, s.width, g + first * s.hidden, s.hidden, v, keys, s.key_block(), scores, true);
      for (int64_t r = 0; r < n; r++) {
        const E* p = probabilities + (i * s.seq + first + r) * keys;
        float* d = scores + r * keys;
        Vec sum{};
        for (int64_t j = 0; j < keys; j += lanes) {
          Vec signs = load(p + j), x = load(d + j);
          Vec keep = (VecI)signs < 0 ? splat(0) : splat(kept);
          Vec share = signs < 0.0f ? -signs : signs;
          store(dropped + r * keys + j, share * keep);
          sum += x * share * keep;
          store(d + j, x * keep);
        }
        float mean = total(sum);
        for (int64_t j = 0; j < keys; j += lanes) {
          Vec share = load(p + j);
          share = share < 0.0f ? -share : share;
          store(slopes + r * keys + j, share * (load(d + j) - mean) * scale);
        }
      }
      products(n, keys, slopes, keys, k, values, s.value_block(), sums, true);
      for (int64_t r = 0; r < n; r++) convert(sums + r * values, s.width, to + (first + r) * stride);
      transpose(slopes, keys, n, keys, turned, depth, words);
      HeadOperand<E>::rows(q + first * stride, stride, n, depth, s, operand);
      products(keys, depth, turned, depth, operand, values, s.value_block(), dk, first == 0);
      transpose(dropped, keys, n, keys, turned, depth, words);
      HeadOperand<E>::rows(g + first * s.hidden, s.hidden, n, depth, s, operand);
      products(keys, depth, turned, depth, operand, values, s.value_block(), dv, first == 0);
    }
    for (int64_t t = 0; t < s.seq; t++) {
      convert(dk + t * values, s.width, to + t * stride + s.hidden);
      convert(dv + t * values, s.width, to + t * stride + 2 * s.hidden);
    }
  });
}
