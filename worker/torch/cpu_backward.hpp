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

// backward_norm gives use(place, values) the gradient of n rows that were normalised, from
// that of the result, take(place), and writes those of the norm's weight and bias.
template <class E>
template <class T, class U>
void Encoder<E>::backward_norm(int64_t n, const E* z, const std::vector<RowStats>& stats, const float* norm, float* norm_gradient, float* bias_gradient, const T& take, const U& use) {
  sums.begin(n, 2 * s.hidden);
  pieces(n, [&](int64_t p, int64_t begin, int64_t end) {
    float *d = scratch(size_t(s.hidden)), *part = sums.of(p);
    for (int64_t t = begin; t < end; t++) {
      int64_t at = t * s.hidden;
      for (int64_t j = 0; j < s.hidden; j += lanes) store(d + j, take(at + j));
      denormalize_row(z + at, s.hidden, stats[size_t(t)], norm, d, part, part + s.hidden);
      for (int64_t j = 0; j < s.hidden; j += lanes) use(at + j, load(d + j));
    }
  });
  sums.end(0, s.hidden, norm_gradient);
  sums.end(s.hidden, s.hidden, bias_gradient);
}

// undo_norm takes the gradient of a normalised sum to that of the sum, and to that of
// the branch before its dropout.
template <class E>
void Encoder<E>::undo_norm(const E* g, const E* sum, const std::vector<RowStats>& stats, const float* norm, const Dropout& drop, float* norm_gradient, float* bias_gradient) {
  backward_norm(tokens, sum, stats, norm, norm_gradient, bias_gradient, [&](int64_t at) { return load(g + at); }, [&](int64_t at, Vec d) {
    store(d_sum.data() + at, d);
    store(d_branch.data() + at, d * drop.keep(uint32_t(at)));
  });
}

// backward_residual writes to `to` the gradient that comes through a product, and that
// around it, which is in d_sum.
template <class E>
void Encoder<E>::backward_residual(const E* g, int64_t width, const Packed<E>& w, E* to) {
  multiply_each(g, width, tokens, w, s.hidden, [&](Vec v, int64_t at, int64_t) { store(to + at, v + load(d_sum.data() + at)); });
}

template <class E>
void Encoder<E>::backward_layer(int64_t l, const E* x) {
  LayerMemory<E>& m = layers[size_t(l)];
  const LayerLinears& w = linears[size_t(l)];
  undo_norm(d_out.data(), m.sum2.data(), m.stats2, weight(l, gramme_layer_output_norm), output_dropout(l), gradient(l, gramme_layer_output_norm), gradient(l, gramme_layer_output_norm_bias));
  backward_linear(d_branch.data(), s.hidden, s.hidden, m.active.data(), s.inner, tokens, gradient(l, gramme_layer_output), gradient(l, gramme_layer_output_bias));
  multiply_each(d_branch.data(), s.hidden, tokens, w.output.backward, s.inner, [&](Vec v, int64_t at, int64_t) {
    store(d_inner.data() + at, v * load(m.slope.data() + at));
  });
  backward_linear(d_inner.data(), s.inner, s.inner, m.middle.data(), s.hidden, tokens, gradient(l, gramme_layer_intermediate), gradient(l, gramme_layer_intermediate_bias));
  backward_residual(d_inner.data(), s.inner, w.intermediate.backward, d_out.data());

  undo_norm(d_out.data(), m.sum1.data(), m.stats1, weight(l, gramme_layer_attention_norm), context_dropout(l), gradient(l, gramme_layer_attention_norm), gradient(l, gramme_layer_attention_norm_bias));
  backward_linear(d_branch.data(), s.hidden, s.hidden, m.context.data(), s.hidden, tokens, gradient(l, gramme_layer_attention), gradient(l, gramme_layer_attention_bias));
  multiply_each(d_branch.data(), s.hidden, tokens, w.attention.backward, s.hidden, [&](Vec v, int64_t at, int64_t) { store(d_context.data() + at, v); });
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
  backward_norm(tokens, embedded_sum.data(), embedded_stats, weights[gramme_embed_norm], gradients[gramme_embed_norm], gradients[gramme_embed_norm_bias],
                [&](int64_t at) { return load(d_out.data() + at) * drop.keep(uint32_t(at)); }, [&](int64_t at, Vec d) { store(d_sum.data() + at, d); });
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
