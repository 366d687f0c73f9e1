// Both heads and their losses, forward and backward. Included inside a namespace, under a
// target.

// words computes the logits at the masked positions.
template <class E>
void Encoder<E>::words() {
  int64_t n = batch.positions_n, room = round_up(n, tile);
  auto fit = [&](Buffer<E>& buffer, int64_t width) {
    buffer.resize(std::max(buffer.size(), size_t(room * width)));
    std::memset((void*)(buffer.data() + n * width), 0, size_t((room - n) * width) * sizeof(E));
  };
  fit(gathered, s.hidden), fit(transformed_slope, s.hidden), fit(transformed_active, s.hidden), fit(transformed, s.hidden);
  fit(d_transformed, s.hidden), fit(d_gathered, s.hidden), fit(logits, vocabulary_stride());
  transformed_stats.resize(size_t(room));
  const E* x = output();
  for (int64_t i = 0; i < n; i++) std::memcpy((void*)(gathered.data() + i * s.hidden), x + batch.positions[i] * s.hidden, size_t(s.hidden) * sizeof(E));
  activate(gathered.data(), n, transform.forward, head(gramme_heads_transform_bias), s.hidden, transformed_slope.data(), transformed_active.data());
  normalize(n, transformed_active.data(), transformed_stats, head(gramme_heads_transform_norm), head(gramme_heads_transform_norm_bias), transformed.data());
  const float* bias = head(gramme_heads_decoder_bias);
  multiply(transformed.data(), s.hidden, n, decoder.forward, [&](int64_t row, int64_t m, int64_t column, int64_t width, const float* c) {
    for (int64_t r = 0; r < m; r++) {
      E* to = logits.data() + (row + r) * vocabulary_stride() + column;
      int64_t j = 0;
      for (; j + lanes <= width; j += lanes) store(to + j, load(c + r * tile + j) + load(bias + column + j));
      for (; j < width; j++) to[j] = E(c[r * tile + j] + bias[column + j]);
    }
  });
}

// pairs computes the logits of the next sentence.
template <class E>
void Encoder<E>::pairs() {
  const E* x = output();
  for (int64_t r = 0; r < rows; r++) std::memcpy((void*)(first.data() + r * s.hidden), x + r * seq * s.hidden, size_t(s.hidden) * sizeof(E));
  const float* bias = head(gramme_heads_pooler_bias);
  multiply(first.data(), s.hidden, rows, pooler.forward, [&](int64_t row, int64_t n, int64_t column, int64_t width, const float* c) {
    for (int64_t r = 0; r < n; r++) {
      for (int64_t j = 0; j < width; j++) pooled[size_t((row + r) * s.hidden + column + j)] = E(std::tanh(c[r * tile + j] + bias[column + j]));
    }
  });
  next_logits.resize(size_t(rows * 2));
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = 0; k < 2; k++) {
      Vec sum{};
      for (int64_t j = 0; j < s.hidden; j += lanes) sum += load(&pooled[size_t(r * s.hidden + j)]) * load(head(gramme_heads_next_sentence) + k * s.hidden + j);
      next_logits[size_t(r * 2 + k)] = total(sum) + head(gramme_heads_next_sentence_bias)[k];
    }
  }
}

template <class E>
gramme_measures Encoder<E>::losses(bool gradient) {
  gramme_measures m{};
  int64_t n = batch.positions_n;
  if (n > 0) {
    std::vector<RowLoss> of(static_cast<size_t>(n));
    parallel(n, [&](int64_t i) {
      of[size_t(i)] = cross_entropy_row(logits.data() + i * vocabulary_stride(), s.vocabulary, vocabulary_stride(), batch.labels[i], 1 / float(n), gradient);
    });
    for (const RowLoss& r : of) m.mlm_loss += r.loss / double(n), m.mlm_correct += r.right;
  }
  for (int64_t r = 0; r < rows; r++) {
    RowLoss l = cross_entropy_row(&next_logits[size_t(r * 2)], 2, 2, batch.next[r], 1 / float(rows), gradient);
    m.nsp_loss += l.loss / double(rows), m.nsp_correct += l.right;
  }
  return m;
}

template <class E>
void Encoder<E>::backward_words() {
  int64_t n = batch.positions_n;
  if (n == 0) {
    auto clear = [&](int place, int64_t size) { std::memset(head_gradient(place), 0, size_t(size) * 4); };
    clear(gramme_heads_transform, s.hidden * s.hidden), clear(gramme_heads_transform_bias, s.hidden), clear(gramme_heads_transform_norm, s.hidden);
    clear(gramme_heads_transform_norm_bias, s.hidden), clear(gramme_heads_decoder, s.vocabulary * s.hidden), clear(gramme_heads_decoder_bias, s.vocabulary);
    return;
  }
  backward_linear(logits.data(), vocabulary_stride(), s.vocabulary, transformed.data(), s.hidden, n, head_gradient(gramme_heads_decoder), head_gradient(gramme_heads_decoder_bias));
  multiply_each(logits.data(), vocabulary_stride(), n, decoder.backward, s.hidden, [&](Vec v, int64_t at, int64_t) { store(d_transformed.data() + at, v); });
  backward_norm(n, transformed_active.data(), transformed_stats, head(gramme_heads_transform_norm), head_gradient(gramme_heads_transform_norm), head_gradient(gramme_heads_transform_norm_bias),
                [&](int64_t at) { return load(d_transformed.data() + at); },
                [&](int64_t at, Vec d) { store(d_transformed.data() + at, d * load(transformed_slope.data() + at)); });
  backward_linear(d_transformed.data(), s.hidden, s.hidden, gathered.data(), s.hidden, n, head_gradient(gramme_heads_transform), head_gradient(gramme_heads_transform_bias));
  multiply_each(d_transformed.data(), s.hidden, n, transform.backward, s.hidden, [&](Vec v, int64_t at, int64_t) { store(d_gathered.data() + at, v); });
  for (int64_t i = 0; i < n; i++) {
    E* to = d_out.data() + batch.positions[i] * s.hidden;
    for (int64_t j = 0; j < s.hidden; j += lanes) store(to + j, load(to + j) + load(&d_gathered[size_t(i * s.hidden + j)]));
  }
}

template <class E>
void Encoder<E>::backward_pairs() {
  float *weight = head_gradient(gramme_heads_next_sentence), *bias = head_gradient(gramme_heads_next_sentence_bias);
  std::memset(weight, 0, size_t(2 * s.hidden) * 4);
  bias[0] = bias[1] = 0;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = 0; k < 2; k++) bias[k] += next_logits[size_t(r * 2 + k)];
    for (int64_t j = 0; j < s.hidden; j += lanes) {
      Vec p = load(&pooled[size_t(r * s.hidden + j)]), g{};
      for (int64_t k = 0; k < 2; k++) {
        float d = next_logits[size_t(r * 2 + k)];
        store(weight + k * s.hidden + j, load(weight + k * s.hidden + j) + d * p);
        g += d * load(head(gramme_heads_next_sentence) + k * s.hidden + j);
      }
      store(&slope_first[size_t(r * s.hidden + j)], g * (1.0f - p * p));
    }
  }
  backward_linear(slope_first.data(), s.hidden, s.hidden, first.data(), s.hidden, rows, head_gradient(gramme_heads_pooler), head_gradient(gramme_heads_pooler_bias));
  multiply_each(slope_first.data(), s.hidden, rows, pooler.backward, seq * s.hidden, [&](Vec v, int64_t at, int64_t) {
    store(d_out.data() + at, load(d_out.data() + at) + v);
  });
}
