// Weights in the layouts that products take. Included inside a namespace, under a target.

// Linear is a weight [n, k] in the layouts of the products of both ways.
template <class E>
struct Linear {
  Packed<E> forward;   // [k, n]
  Packed<E> backward;  // [n, k]

  // set packs weights that stand below each other, each [n, k].
  void set(std::vector<const float*> weights, int64_t n, int64_t k) {
    forward.shape(k, n * int64_t(weights.size()));
    backward.shape(n * int64_t(weights.size()), k);
    auto row = [&](int64_t r) { return weights[size_t(r / n)] + r % n * k; };
    parallel(forward.blocks(), [&](int64_t b) {
      int64_t width = forward.width(b);
      E* rows = (E*)scratch(size_t(tile * k));
      for (int64_t r = 0; r < width; r++) convert(row(b * tile + r), k, rows + r * k);
      pack_columns(rows, k, width, k, tile, forward.at(b));
    });
    parallel(backward.blocks(), [&](int64_t b) {
      int64_t width = backward.width(b);
      E* rows = (E*)scratch(size_t(backward.k * tile));
      for (int64_t r = 0; r < backward.k; r++) convert(row(r) + b * tile, width, rows + r * tile);
      pack_rows(rows, tile, backward.k, width, tile, backward.depth, backward.at(b));
    });
  }
};
