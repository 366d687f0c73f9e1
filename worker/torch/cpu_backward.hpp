// The way back through the layers: gradients of all weights, and of what came in. Included
// inside a namespace, under a target.

// backward_linear writes the gradients of a weight and its bias, from that of the
// result [m, n] and the left operand [m, k].
template <class E>
void Encoder<E>::backward_linear(const E* g, int64_t stride, int64_t n, const E* x, int64_t k, int64_t m, float* weight, float* bias) {
  outer.set_right(x, k, m, k);
  outer.set_left(g, stride, m, n, bias);
  outer.write(0, n, weight);
}

// undo_norm takes the gradient of a normalised sum to that of the sum, and to that of
// the branch before its dropout.
template <class E>
void Encoder<E>::undo_norm(const E* g, const E* sum, const std::vector<RowStats>& stats, const float* norm, const Dropout& drop, float* norm_gradient, float* bias_gradient) {
  sums.begin(tokens, 2 * s.hidden);
  pieces(tokens, [&](int64_t p, int64_t begin, int64_t end) {
    float* d = scratch(size_t(s.hidden));
    for (int64_t t = begin; t < end; t++) {
      int64_t at = t * s.hidden;
      for (int64_t j = 0; j < s.hidden; j += lanes) store(d + j, load(g + at + j));
      denormalize_row(sum + at, s.hidden, stats[size_t(t)], norm, d, sums.of(p), sums.of(p) + s.hidden);
      for (int64_t j = 0; j < s.hidden; j += lanes) {
        store(d_sum.data() + at + j, load(d + j));
        store(d_branch.data() + at + j, load(d + j) * drop.keep(uint32_t(at + j)));
      }
    }
  });
  sums.end(0, s.hidden, norm_gradient);
  sums.end(s.hidden, s.hidden, bias_gradient);
}

// backward_residual writes to `to` the gradient that comes through a product, and that
// around it, which is in d_sum.
template <class E>
void Encoder<E>::backward_residual(const E* g, int64_t width, const Packed<E>& w, E* to) {
  multiply(g, width, tokens, w, [&](int64_t row, int64_t n, int64_t column, int64_t columns, const float* c, int64_t stride) {
    for (int64_t r = 0; r < n; r++) {
      int64_t at = (row + r) * s.hidden + column;
      for (int64_t j = 0; j < columns; j += lanes) store(to + at + j, load(c + r * stride + j) + load(d_sum.data() + at + j));
    }
  });
}

template <class E>
void Encoder<E>::backward_layer(int64_t l, const E* x) {
  LayerMemory<E>& m = layers[size_t(l)];
  const LayerLinears& w = linears[size_t(l)];
  undo_norm(d_out.data(), m.sum2.data(), m.stats2, weight(l, gramme_layer_output_norm), output_dropout(l), gradient(l, gramme_layer_output_norm), gradient(l, gramme_layer_output_norm_bias));
  backward_linear(d_branch.data(), s.hidden, s.hidden, m.active.data(), s.inner, tokens, gradient(l, gramme_layer_output), gradient(l, gramme_layer_output_bias));
  multiply(d_branch.data(), s.hidden, tokens, w.output.backward, [&](int64_t row, int64_t n, int64_t column, int64_t columns, const float* c, int64_t stride) {
    for (int64_t r = 0; r < n; r++) {
      int64_t at = (row + r) * s.inner + column;
      for (int64_t j = 0; j < columns; j += lanes) store(d_inner.data() + at + j, load(c + r * stride + j) * load(m.slope.data() + at + j));
    }
  });
  backward_linear(d_inner.data(), s.inner, s.inner, m.middle.data(), s.hidden, tokens, gradient(l, gramme_layer_intermediate), gradient(l, gramme_layer_intermediate_bias));
  backward_residual(d_inner.data(), s.inner, w.intermediate.backward, d_out.data());

  undo_norm(d_out.data(), m.sum1.data(), m.stats1, weight(l, gramme_layer_attention_norm), context_dropout(l), gradient(l, gramme_layer_attention_norm), gradient(l, gramme_layer_attention_norm_bias));
  backward_linear(d_branch.data(), s.hidden, s.hidden, m.context.data(), s.hidden, tokens, gradient(l, gramme_layer_attention), gradient(l, gramme_layer_attention_bias));
  multiply(d_branch.data(), s.hidden, tokens, w.attention.backward, [&](int64_t row, int64_t n, int64_t column, int64_t columns, const float* c, int64_t stride) {
    for (int64_t r = 0; r < n; r++) {
      int64_t at = (row + r) * s.hidden + column;
      for (int64_t j = 0; j < columns; j += lanes) store(d_context.data() + at + j, load(c + r * stride + j));
    }
  });
  Dropout drop = attention_dropout(l);
  attend_backward(heads(), m.qkv.data(), m.probabilities.data(), drop.threshold > 0 ? &drop : nullptr, d_context.data(), d_qkv.data());
  const int places[3] = {gramme_layer_query, gramme_layer_key, gramme_layer_value};
  Buffer<float> bias(static_cast<size_t>(3 * s.hidden));
  outer.set_right(x, s.hidden, tokens, s.hidden);
  outer.set_left(d_qkv.data(), 3 * s.hidden, tokens, 3 * s.hidden, bias.data());
  for (int64_t k = 0; k < 3; k++) {
    outer.write(k * s.hidden, s.hidden, gradient(l, places[k]));
    std::memcpy(gradient(l, places[k] + 1), bias.data() + k * s.hidden, size_t(s.hidden) * 4);
  }
  backward_residual(d_qkv.data(), 3 * s.hidden, w.qkv.backward, d_out.data());
}

// backward_embed adds to the gradient of the words, which the decoder wrote.
template <class E>
void Encoder<E>::backward_embed() {
  Dropout drop = embedding_dropout();
  sums.begin(tokens, 2 * s.hidden);
  pieces(tokens, [&](int64_t p, int64_t begin, int64_t end) {
    float* d = scratch(size_t(s.hidden));
    for (int64_t t = begin; t < end; t++) {
      int64_t at = t * s.hidden;
      for (int64_t j = 0; j < s.hidden; j += lanes) store(d + j, load(d_out.data() + at + j) * drop.keep(uint32_t(at + j)));
      denormalize_row(embedded_sum.data() + at, s.hidden, embedded_stats[size_t(t)], weights[gramme_embed_norm], d, sums.of(p), sums.of(p) + s.hidden);
      for (int64_t j = 0; j < s.hidden; j += lanes) store(d_sum.data() + at + j, load(d + j));
    }
  });
  sums.end(0, s.hidden, gradients[gramme_embed_norm]);
  sums.end(s.hidden, s.hidden, gradients[gramme_embed_norm_bias]);
  std::memset(gradients[gramme_embed_positions], 0, size_t(s.positions * s.hidden) * 4);
  std::memset(gradients[gramme_embed_types], 0, size_t(s.types * s.hidden) * 4);
  parallel(s.hidden / lanes, [&](int64_t i) {
    int64_t j = i * lanes;
    for (int64_t t = 0; t < tokens; t++) {
      Vec d = load(d_sum.data() + t * s.hidden + j);
      auto to = [&](int place, int64_t row) {
        float* p = gradients[place] + row * s.hidden + j;
        store(p, load(p) + d);
      };
      if (batch.ids[t] != s.pad) to(gramme_embed_words, batch.ids[t]);
      to(gramme_embed_positions, t % seq);
      to(gramme_embed_types, batch.types[t]);
    }
  });
}
