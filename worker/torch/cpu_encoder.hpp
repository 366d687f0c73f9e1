// An encoder with its two heads on a CPU: forward and backward by hand, over memory
// that stays from step to step. Included inside a namespace, under a target.

template <class E>
using Buffer = std::vector<E, Aligned<E>>;

// What a layer keeps for its backward.
template <class E>
struct LayerMemory {
  Buffer<E> qkv, probabilities, context, sum1, middle, slope, active, sum2, out;
  std::vector<RowStats> stats1, stats2;
};

template <class E>
struct Encoder : CPUEncoder {
  CPUShape s;
  float* const* weights;
  float* const* gradients;

  struct LayerLinears {
    Linear<E> qkv, attention, intermediate, output;
  };
  std::vector<LayerLinears> linears;
  Linear<E> pooler, transform, decoder;
  std::vector<LayerMemory<E>> layers;

  int64_t rows = 0, seq = 0, tokens = 0, padded = 0;
  CPUBatch batch{};
  bool training = false;
  uint64_t seed = 0;

  Buffer<E> embedded_sum, embedded, gathered, transformed_slope, transformed_active, transformed, logits, first, pooled, slope_first;
  std::vector<RowStats> embedded_stats, transformed_stats;
  Buffer<E> d_out, d_sum, d_branch, d_inner, d_qkv, d_context, d_gathered, d_transformed;
  Buffer<float> mask, next_logits;
  Outer<E> outer;
  Sums sums;

  Encoder(const CPUShape& shape, float* const* w, float* const* g) : s(shape), weights(w), gradients(g), linears(size_t(s.layers)), layers(size_t(s.layers)) {}

  int64_t at(int64_t layer, int place) const { return gramme_embed_weights + layer * gramme_layer_weights + place; }
  const float* weight(int64_t layer, int place) const { return weights[at(layer, place)]; }
  float* gradient(int64_t layer, int place) const { return gradients[at(layer, place)]; }
  const float* head(int place) const { return weights[at(s.layers, place)]; }
  float* head_gradient(int place) const { return gradients[at(s.layers, place)]; }

  gramme_cpu_set set() const override { return TILES ? gramme_cpu_amx : VECTOR_BYTES == 64 ? gramme_cpu_avx512 : gramme_cpu_avx2; }

  void weights_changed() override {
    for (int64_t l = 0; l < s.layers; l++) {
      LayerLinears& w = linears[size_t(l)];
      w.qkv.set({weight(l, gramme_layer_query), weight(l, gramme_layer_key), weight(l, gramme_layer_value)}, s.hidden, s.hidden);
      w.attention.set({weight(l, gramme_layer_attention)}, s.hidden, s.hidden);
      w.intermediate.set({weight(l, gramme_layer_intermediate)}, s.inner, s.hidden);
      w.output.set({weight(l, gramme_layer_output)}, s.hidden, s.inner);
    }
    pooler.set({head(gramme_heads_pooler)}, s.hidden, s.hidden);
    transform.set({head(gramme_heads_transform)}, s.hidden, s.hidden);
    decoder.set({head(gramme_heads_decoder)}, s.vocabulary, s.hidden);
  }

  // Dropout of one place in the model: a layer, and which of its three.
  Dropout dropout(int64_t place, double p) const {
    Dropout d;
    uint64_t z = seed + uint64_t(place + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    d.first = uint32_t(z), d.second = uint32_t(z >> 32);
    d.threshold = training ? uint32_t(p * 4294967296.0) : 0;
    d.scale = training ? float(1 / (1 - p)) : 1;
    return d;
  }
  Dropout attention_dropout(int64_t l) const { return dropout(3 * l, s.attention_dropout); }
  Dropout context_dropout(int64_t l) const { return dropout(3 * l + 1, s.hidden_dropout); }
  Dropout output_dropout(int64_t l) const { return dropout(3 * l + 2, s.hidden_dropout); }
  Dropout embedding_dropout() const { return dropout(3 * s.layers, s.hidden_dropout); }

  HeadShape heads() const { return {rows, seq, s.heads, s.hidden / s.heads, s.hidden}; }

  // begin makes room for a batch. Rows of a buffer beyond the tokens are 0 and stay so;
  // products read some of them.
  void begin(const CPUBatch& b) {
    batch = b;
    if (b.rows == rows && b.seq == seq) return;
    rows = b.rows, seq = b.seq, tokens = rows * seq, padded = round_up(tokens, tile) + tile;
    auto fit = [&](auto& buffer, int64_t width) { buffer.assign(size_t(padded * width), {}); };
    for (LayerMemory<E>& m : layers) {
      fit(m.qkv, 3 * s.hidden), fit(m.context, s.hidden), fit(m.sum1, s.hidden), fit(m.middle, s.hidden);
      fit(m.slope, s.inner), fit(m.active, s.inner), fit(m.sum2, s.hidden), fit(m.out, s.hidden);
      m.probabilities.assign(size_t((rows * s.heads * seq + tile) * heads().keys()), {});
      m.stats1.resize(size_t(tokens)), m.stats2.resize(size_t(tokens));
    }
    fit(embedded_sum, s.hidden), fit(embedded, s.hidden), fit(d_out, s.hidden), fit(d_sum, s.hidden), fit(d_branch, s.hidden);
    fit(d_inner, s.inner), fit(d_qkv, 3 * s.hidden), fit(d_context, s.hidden);
    embedded_stats.resize(size_t(tokens));
    int64_t first_rows = round_up(rows, tile);
    first.assign(size_t(first_rows * s.hidden), {}), pooled.assign(size_t(first_rows * s.hidden), {}), slope_first.assign(size_t(first_rows * s.hidden), {});
  }

  static constexpr int64_t piece = Sums::piece;

  // pieces calls f(piece, first row, end) for all rows of tokens.
  template <class F>
  void pieces(int64_t n, const F& f) {
    parallel((n + piece - 1) / piece, [&](int64_t p) { f(p, p * piece, std::min(n, (p + 1) * piece)); });
  }

  // The logits stand in rows of whole tiles.
  int64_t vocabulary_stride() const { return round_up(s.vocabulary, tile); }

  // output is what the layers give, input what layer l takes.
  const E* input(int64_t l) const { return l == 0 ? embedded.data() : layers[size_t(l - 1)].out.data(); }
  const E* output() const { return input(s.layers); }

  // cpu_forward.hpp
  void forward();
  void embed();
  void layer(int64_t l, const E* x);
  void add_and_norm(const E* x, int64_t width, const Packed<E>& w, const float* bias, const Dropout& drop, const E* residual, const float* norm, const float* norm_bias, E* sum, std::vector<RowStats>& stats, E* out);
  void normalize(int64_t n, const E* z, std::vector<RowStats>& stats, const float* norm, const float* norm_bias, E* out);
  void activate(const E* x, int64_t m, const Packed<E>& w, const float* bias, int64_t width, E* slope, E* active);

  // cpu_heads.hpp
  void words();
  void pairs();
  gramme_measures losses(bool gradient);
  void backward_words();
  void backward_pairs();

  // cpu_backward.hpp
  void backward_layer(int64_t l, const E* x);
  void backward_embed();
  void backward_linear(const E* g, int64_t stride, int64_t n, const E* x, int64_t k, int64_t m, float* weight, float* bias);
  void backward_residual(const E* g, int64_t width, const Packed<E>& w, E* to);
  template <class T, class U>
  void backward_norm(int64_t n, const E* z, const std::vector<RowStats>& stats, const float* norm, float* norm_gradient, float* bias_gradient, const T& take, const U& use);
  void undo_norm(const E* g, const E* sum, const std::vector<RowStats>& stats, const float* norm, const Dropout& drop, float* norm_gradient, float* bias_gradient);

  gramme_measures compute(const CPUBatch& b, uint64_t dropout_seed) override {
    training = true, seed = dropout_seed;
    begin(b);
    forward(), words(), pairs();
    gramme_measures m = losses(true);
    std::memset((void*)d_out.data(), 0, size_t(tokens * s.hidden) * sizeof(E));
    backward_words(), backward_pairs();
    for (int64_t l = s.layers; l-- > 0;) backward_layer(l, input(l));
    backward_embed();
    return m;
  }

  gramme_measures evaluate(const CPUBatch& b) override {
    training = false;
    begin(b);
    forward(), words(), pairs();
    return losses(false);
  }
};
