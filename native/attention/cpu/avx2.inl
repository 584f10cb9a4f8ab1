// The vector of AVX2, with the dot product that `Dot` gives: dot4(sums, codes, digits).

struct Half;
struct E4m3;

template <typename Dot>
struct Vector256 : Dot {
  static constexpr int kWidth = 8;
  static constexpr int kRows = 6;         // 12 sums, 2 rows of b and a broadcast fit 16 registers
  static constexpr int kIntegerRows = 6;  // 12 sums, the codes, a product and a constant
  static constexpr int kDotBias = 0;
  using V = Vector256;
  using Sums = __m256i;
  using Bytes = __m256i;
  __m256 lanes;

  static V make(__m256 lanes) {
    V v;
    v.lanes = lanes;
    return v;
  }
  static V load(const float* p) { return make(_mm256_loadu_ps(p)); }
  static V load(const Half* p) {
    return make(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static V load(const E4m3* p) {
    const __m128i codes = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m128i sign = _mm_slli_epi16(_mm_and_si128(codes, _mm_set1_epi16(0x80)), 8);
    const __m128i rest = _mm_slli_epi16(_mm_and_si128(codes, _mm_set1_epi16(0x7f)), 7);
    return make(_mm256_cvtph_ps(_mm_or_si128(sign, rest)));
  }
  void store(float* p) const { _mm256_storeu_ps(p, lanes); }
  static V broadcast(float x) { return make(_mm256_set1_ps(x)); }
  static V zero() { return make(_mm256_setzero_ps()); }
  static V fma(V a, V b, V c) { return make(_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)); }
  static V mul(V a, V b) { return make(_mm256_mul_ps(a.lanes, b.lanes)); }
  static V add(V a, V b) { return make(_mm256_add_ps(a.lanes, b.lanes)); }
  static V max(V a, V b) { return make(_mm256_max_ps(a.lanes, b.lanes)); }
  static V magnitude(V a) { return make(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.lanes)); }
  static V round(V a) {
    return make(_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static V pow2(V a) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(a.lanes), _mm256_set1_epi32(127));
    return make(_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
  }
  static float sum(V a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }
  static float largest(V a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }

  static Sums no_sums() { return _mm256_setzero_si256(); }
  static Bytes load_bytes(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  template <int kBits, int kShift>
  static Bytes field(Bytes bytes) {
    const Bytes shifted = kShift == 0 ? bytes : _mm256_srli_epi16(bytes, kShift);
    return _mm256_and_si256(shifted, _mm256_set1_epi8((1 << kBits) - 1));
  }
  static V combine(Sums high, Sums low, int32_t offset) {
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 7), low);
    return make(_mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(offset))));
  }
  static void store_digits(V numbers, int8_t* high, int8_t* low) {
    const __m256i number = _mm256_cvtps_epi32(numbers.lanes);
    const __m256i tops = _mm256_srai_epi32(_mm256_add_epi32(number, _mm256_set1_epi32(64)), 7);
    store_bytes(tops, high);
    store_bytes(_mm256_sub_epi32(number, _mm256_slli_epi32(tops, 7)), low);
  }
  static void store_bytes(__m256i numbers, int8_t* p) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
};

inline __m256i four_digits256(const int8_t* digits) {
  int32_t four;
  std::memcpy(&four, digits, sizeof four);
  return _mm256_set1_epi32(four);
}
