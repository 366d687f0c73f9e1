// Vectors of f32 and what is computed on them, in plain vector arithmetic: the same
// source serves AVX2 and AVX-512. Included inside a namespace, under a target.

typedef float Vec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t VecI __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t VecU __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t VecH __attribute__((vector_size(VECTOR_BYTES / 2)));

constexpr int64_t lanes = VECTOR_BYTES / 4;

inline Vec splat(float x) { return Vec{} + x; }

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline VecU widen(const uint16_t* p) {
  VecH h;
  std::memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, VecU);
}

inline Vec load(const BF16* p) { return (Vec)(widen(&p->x) << 16); }

inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// store rounds to the nearest bf16, ties to even. A number that is none stays none.
inline void store(BF16* p, Vec v) {
#if TILES  // the CPU has an instruction for it, which takes denormal numbers for 0
  __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
  VecU u = (VecU)v;
  VecU rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  rounded = v == v ? rounded : VecU{} + 0x7fc0;
  VecH h = __builtin_convertvector(rounded, VecH);
#endif
  std::memcpy(p, &h, sizeof h);
}

// convert copies n numbers and rounds them to E.
template <class E>
void convert(const float* from, int64_t n, E* to) {
  int64_t j = 0;
  for (; j + lanes <= n; j += lanes) store(to + j, load(from + j));
  for (; j < n; j++) to[j] = E(from[j]);
}

// stream copies n floats to memory that is not read soon, past the caches.
inline void stream(const float* from, int64_t n, float* to) {
  int64_t j = 0;
#if VECTOR_BYTES == 64
  if (uintptr_t(to) % sizeof(Vec) == 0) {
    for (; j + lanes <= n; j += lanes) _mm512_stream_ps(to + j, (__m512)load(from + j));
  }
#else
  if (uintptr_t(to) % sizeof(Vec) == 0) {
    for (; j + lanes <= n; j += lanes) _mm256_stream_ps(to + j, (__m256)load(from + j));
  }
#endif
  std::memcpy(to + j, from + j, size_t(n - j) * 4);
}

inline float scalar(float x) { return x; }
inline float scalar(BF16 x) { return float(x); }

inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// rotated is v with its upper part first: the lanes from n on, then the others.
template <int64_t n>
inline Vec rotated(Vec v) {
  VecI at;
  for (int64_t i = 0; i < lanes; i++) at[i] = int32_t((i + n) % lanes);
  return __builtin_shuffle(v, at);
}

inline float total(Vec v) {
  if constexpr (lanes == 16) v += rotated<8 % lanes>(v);
  v += rotated<4>(v), v += rotated<2>(v), v += rotated<1>(v);
  return v[0];
}

inline float largest(Vec v) {
  if constexpr (lanes == 16) v = larger(rotated<8 % lanes>(v), v);
  v = larger(rotated<4>(v), v), v = larger(rotated<2>(v), v), v = larger(rotated<1>(v), v);
  return v[0];
}

// exponential is e^x within 2 units of the last place, by the range reduction and the
// polynomial of Cephes' expf. Under -87.3 it is 0.
inline Vec exponential(Vec x) {
  Vec top = splat(88.3762626647949f), bottom = splat(-87.3365447504019f);
  Vec y = x > top ? top : x;
  Vec n = y * 1.44269504088896341f + 12582912.0f;
  VecI k = (VecI)n - 0x4b400000;
  n -= 12582912.0f;
  y -= n * 0.693359375f;
  y -= n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * y + 1.3981999507e-3f;
  p = p * y + 8.3334519073e-3f;
  p = p * y + 4.1665795894e-2f;
  p = p * y + 1.6666665459e-1f;
  p = p * y + 5.0000001201e-1f;
  p = p * y * y + y + 1.0f;
  Vec scale = (Vec)((k + 127) << 23);
  Vec result = p * scale;
  result = x < bottom ? splat(0) : result;
  return x == x ? result : x;
}

// normal_tail is (1 - erf(a/sqrt(2)))/2 for a >= 0, by 7.1.26 of Abramowitz and Stegun:
// within 7.5e-8. bell is exp(-a²/2).
inline Vec normal_tail(Vec a, Vec bell) {
  Vec t = 1.0f / (1.0f + a * (0.3275911f * 0.70710678118654752f));
  Vec p = splat(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  return p * t * bell * 0.5f;
}

struct Activation {
  Vec value, slope;
};

// gelu is x·Φ(x) and its derivative; tanh chooses the approximation by tanh.
inline Activation gelu(Vec x, bool tanh) {
  if (tanh) {
    constexpr float c = 0.79788456080286536f, d = 0.044715f;
    Vec u = c * (x + d * x * x * x);
    Vec a = u < 0.0f ? -u : u;
    Vec e = exponential(-2.0f * a);
    Vec t = (1.0f - e) / (1.0f + e);
    t = u < 0.0f ? -t : t;
    Vec half = 0.5f * (1.0f + t);
    return {x * half, half + 0.5f * x * (1.0f - t * t) * c * (1.0f + 3.0f * d * x * x)};
  }
  Vec a = x < 0.0f ? -x : x;
  Vec bell = exponential(-0.5f * a * a);
  Vec tail = normal_tail(a, bell);
  Vec phi = x < 0.0f ? tail : 1.0f - tail;
  return {x * phi, phi + x * bell * 0.39894228040143268f};
}

// Dropout draws from a hash of a key and the number of the element: elements are
// independent of each other, of the number of threads and of the machine.
struct Dropout {
  uint32_t first = 0, second = 0, threshold = 0;
  float scale = 1;

  // keep is scale for elements that stay and 0 for the others; index is that of the
  // first lane.
  Vec keep(uint32_t index) const {
    if (threshold == 0) return splat(scale);
    VecU x;
    for (int64_t i = 0; i < lanes; i++) x[i] = uint32_t(i);
    x = (x + index) * 0x9e3779b1u + first;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x += second;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x >= threshold ? splat(scale) : splat(0);
  }
};
