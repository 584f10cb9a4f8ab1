// The vector of AVX2, with the dot product that `Dot` gives: dot4(sums, codes, digits).

struct Half;
struct E4m3;

template <typename Dot>
struct Vector256 : Dot {
  static constexpr int kWidth = 8;
  static constexpr int kRows = 6;  // 12 sums, 2 rows of b and a broadcast fit 16 registers
  static constexpr int kIntegerRegisters = 10;  // beside digits, products and constants
  static constexpr int kIntegerPanels = 1;
  static constexpr int kPanels = 1;
  static constexpr int kDotBias = 0;
  using V = Vector256;
  using Sums = __m256i;
  using Bytes = __m256i;
  using Fields = __m256i;
  using Digits = __m256i;
  __m256 lanes;

  static V make(__m256 lanes) {
    V v;
    v.lanes = lanes;
    return v;
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
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
  static V sub(V a, V b) { return make(_mm256_sub_ps(a.lanes, b.lanes)); }
  static V max(V a, V b) { return make(_mm256_max_ps(a.lanes, b.lanes)); }
  static V magnitude(V a) { return make(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.lanes)); }
  static V round(V a) {
    return make(_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static V scale2(V a, V n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.lanes), _mm256_set1_epi32(127));
    return mul(a, make(_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))));
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
  static Digits load_digits(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
  }
  template <int kBits, int kShift>
  static Fields field(Bytes bytes) {
    if constexpr (kBits == 8) {
      return bytes;
    } else {
      const Fields shifted = kShift == 0 ? bytes : _mm256_srli_epi16(bytes, kShift);
      return _mm256_and_si256(shifted, _mm256_set1_epi8((1 << kBits) - 1));
    }
  }
  static V combine(Sums high, Sums low, int32_t offset) {
    return to_floats(_mm256_add_epi32(_mm256_slli_epi32(high, 7), low), offset);
  }
  static V to_floats(Sums sums, int32_t offset) {
    return make(_mm256_cvtepi32_ps(_mm256_add_epi32(sums, _mm256_set1_epi32(offset))));
  }
  static int32_t sum(Sums a) {
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return _mm_cvtsi128_si32(x) + _mm_extract_epi32(x, 1);
  }
  template <int kDigits>
  static Sums cut(const V (&numbers)[4], int8_t* high, int8_t* low, Sums sums) {
    const __m256i one = words(numbers[0], numbers[1]);
    const __m256i two = words(numbers[2], numbers[3]);
    if constexpr (kDigits == 1) {
      store_in_order(_mm256_packs_epi16(one, two), high);
    } else {
      const __m256i tops_one = tops(one);
      const __m256i tops_two = tops(two);
      store_in_order(_mm256_packs_epi16(tops_one, tops_two), high);
      store_in_order(_mm256_packs_epi16(_mm256_sub_epi16(one, _mm256_slli_epi16(tops_one, 7)),
                                        _mm256_sub_epi16(two, _mm256_slli_epi16(tops_two, 7))),
                     low);
    }
    // The sum of two numbers fits 16 bits.
    return _mm256_add_epi32(sums,
                            _mm256_madd_epi16(_mm256_add_epi16(one, two), _mm256_set1_epi16(1)));
  }
  static __m256i words(V a, V b) {
    return _mm256_packs_epi32(_mm256_cvtps_epi32(a.lanes), _mm256_cvtps_epi32(b.lanes));
  }
  static __m256i tops(__m256i numbers) {
    return _mm256_srai_epi16(_mm256_add_epi16(numbers, _mm256_set1_epi16(64)), 7);
  }
  /// Packing works within halves: four bytes of each vector, vector by vector.
  static void store_in_order(__m256i bytes, int8_t* p) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(bytes, order));
  }
};
