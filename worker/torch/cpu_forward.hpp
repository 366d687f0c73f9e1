// The way forward through the layers. Included inside a namespace, under a target.

template <class E>
void Encoder<E>::forward() {
  mask.resize(size_t(rows * heads().keys()));
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t j = 0; j < heads().keys(); j++) {
      mask[size_t(r * heads().keys() + j)] = j >= seq ? -INFINITY : batch.mask[r * seq + j] != 0 ? 0 : -1e30f;
    }
  }
  embed();
  for (int64_t l = 0; l < s.layers; l++) layer(l, input(l));
}

template <class E>
void Encoder<E>::embed() {
  const float *words = weights[gramme_embed_words], *positions = weights[gramme_embed_positions], *types = weights[gramme_embed_types];
  Dropout drop = embedding_dropout();
  pieces(tokens, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const float *w = words + batch.ids[t] * s.hidden, *p = positions + t % seq * s.hidden, *k = types + batch.types[t] * s.hidden;
      E *z = embedded_sum.data() + t * s.hidden, *out = embedded.data() + t * s.hidden;
      for (int64_t j = 0; j < s.hidden; j += lanes) store(z + j, load(w + j) + load(k + j) + load(p + j));
      RowStats r = embedded_stats[size_t(t)] = row_stats(z, s.hidden, s.eps);
      normalize_row(z, s.hidden, r, weights[gramme_embed_norm], weights[gramme_embed_norm_bias], out);
      for (int64_t j = 0; j < s.hidden; j += lanes) store(out + j, load(out + j) * drop.keep(uint32_t(t * s.hidden + j)));
    }
  });
}

// add_and_norm is the end of both halves of a layer: product, bias, dropout, residual
// sum and norm.
template <class E>
void Encoder<E>::add_and_norm(const E* x, int64_t width, const Packed<E>& w, const float* bias, const Dropout& drop, const E* residual, const float* norm, const float* norm_bias, E* sum, std::vector<RowStats>& stats, E* out) {
  multiply_each(x, width, tokens, w, s.hidden, [&](Vec v, int64_t at, int64_t j) {
    store(sum + at, (v + load(bias + j)) * drop.keep(uint32_t(at)) + load(residual + at));
  });
  normalize(tokens, sum, stats, norm, norm_bias, out);
}

// normalize is a layer norm of n rows; it keeps the statistics of each.
template <class E>
void Encoder<E>::normalize(int64_t n, const E* z, std::vector<RowStats>& stats, const float* norm, const float* norm_bias, E* out) {
  pieces(n, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const E* row = z + t * s.hidden;
      RowStats k = stats[size_t(t)] = row_stats(row, s.hidden, s.eps);
      normalize_row(row, s.hidden, k, norm, norm_bias, out + t * s.hidden);
    }
  });
}

template <class E>
void Encoder<E>::layer(int64_t l, const E* x) {
  LayerMemory<E>& m = layers[size_t(l)];
  const LayerLinears& w = linears[size_t(l)];
  const float* biases[3] = {weight(l, gramme_layer_query_bias), weight(l, gramme_layer_key_bias), weight(l, gramme_layer_value_bias)};
  multiply(x, s.hidden, tokens, w.qkv.forward, [&](int64_t row, int64_t n, int64_t column, int64_t width, const float* c) {
    for (int64_t j = 0; j < width; j += lanes) {
      Vec bias = load(biases[(column + j) / s.hidden] + (column + j) % s.hidden);
      for (int64_t r = 0; r < n; r++) store(&m.qkv[size_t((row + r) * 3 * s.hidden + column + j)], load(c + r * tile + j) + bias);
    }
  });
  Dropout drop = attention_dropout(l);
  attend(heads(), m.qkv.data(), mask.data(), drop.threshold > 0 ? &drop : nullptr, m.probabilities.data(), m.context.data());
  add_and_norm(m.context.data(), s.hidden, w.attention.forward, weight(l, gramme_layer_attention_bias), context_dropout(l), x,
               weight(l, gramme_layer_attention_norm), weight(l, gramme_layer_attention_norm_bias), m.sum1.data(), m.stats1, m.middle.data());
  activate(m.middle.data(), tokens, w.intermediate.forward, weight(l, gramme_layer_intermediate_bias), s.inner, m.slope.data(), m.active.data());
  add_and_norm(m.active.data(), s.inner, w.output.forward, weight(l, gramme_layer_output_bias), output_dropout(l), m.middle.data(),
               weight(l, gramme_layer_output_norm), weight(l, gramme_layer_output_norm_bias), m.sum2.data(), m.stats2, m.out.data());
}

// activate writes the GELU of x·w + bias, and its slope there.
template <class E>
void Encoder<E>::activate(const E* x, int64_t m, const Packed<E>& w, const float* bias, int64_t width, E* slope, E* active) {
  multiply_each(x, s.hidden, m, w, width, [&](Vec v, int64_t at, int64_t j) {
    Activation y = gelu(v + load(bias + j), s.gelu_tanh);
    store(active + at, y.value);
    store(slope + at, y.slope);
  });
}
