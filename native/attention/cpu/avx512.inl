// The vector of AVX-512, with the dot product that `Dot` gives: dot4(sums, codes, digits).

struct Half;
struct E4m3;

template <typename Dot>
struct Vector512 : Dot {
  static constexpr int kWidth = 16;
  static constexpr int kRows = 8;               // 16 sums of 32 registers
  static constexpr int kIntegerRegisters = 30;  // beside digits and a constant
  static constexpr int kIntegerPanels = 2;
  static constexpr int kPanels = 2;
  static constexpr int kDotBias = 0;
  using V = Vector512;
  using Sums = __m512i;
  using Bytes = __m512i;
  using Fields = __m512i;
  using Digits = __m512i;
  __m512 lanes;

  static V make(__m512 lanes) {
    V v;
    v.lanes = lanes;
    return v;
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
  static V load(const float* p) { return make(_mm512_loadu_ps(p)); }
  static V load(const Half* p) {
    return make(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
  }
  static V load(const E4m3* p) {
    const __m256i codes =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0x80)), 8);
    const __m256i rest = _mm256_slli_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0x7f)), 7);
    return make(_mm512_cvtph_ps(_mm256_or_si256(sign, rest)));
  }
  void store(float* p) const { _mm512_storeu_ps(p, lanes); }
  static V broadcast(float x) { return make(_mm512_set1_ps(x)); }
  static V zero() { return make(_mm512_setzero_ps()); }
  static V fma(V a, V b, V c) { return make(_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)); }
  static V mul(V a, V b) { return make(_mm512_mul_ps(a.lanes, b.lanes)); }
  static V add(V a, V b) { return make(_mm512_add_ps(a.lanes, b.lanes)); }
  static V sub(V a, V b) { return make(_mm512_sub_ps(a.lanes, b.lanes)); }
  static V max(V a, V b) { return make(_mm512_max_ps(a.lanes, b.lanes)); }
  static V magnitude(V a) { return make(_mm512_abs_ps(a.lanes)); }
  static V round(V a) {
    return make(_mm512_roundscale_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static V scale2(V a, V n) { return make(_mm512_scalef_ps(a.lanes, n.lanes)); }
  static float sum(V a) { return _mm512_reduce_add_ps(a.lanes); }
  static float largest(V a) { return _mm512_reduce_max_ps(a.lanes); }

  static Sums no_sums() { return _mm512_setzero_si512(); }
  static Bytes load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Digits load_digits(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
  }
  template <int kBits, int kShift>
  static Fields field(Bytes bytes) {
    if constexpr (kBits == 8) {
      return bytes;
    } else {
      const Fields shifted = kShift == 0 ? bytes : _mm512_srli_epi16(bytes, kShift);
      return _mm512_and_si512(shifted, _mm512_set1_epi8((1 << kBits) - 1));
    }
  }
  static V combine(Sums high, Sums low, int32_t offset) {
    return to_floats(_mm512_add_epi32(_mm512_slli_epi32(high, 7), low), offset);
  }
  static V to_floats(Sums sums, int32_t offset) {
    return make(_mm512_cvtepi32_ps(_mm512_add_epi32(sums, _mm512_set1_epi32(offset))));
  }
  static int32_t sum(Sums a) { return _mm512_reduce_add_epi32(a); }
  template <int kDigits>
  static Sums cut(const V (&numbers)[4], int8_t* high, int8_t* low, Sums sums) {
    const __m512i one = words(numbers[0], numbers[1]);
    const __m512i two = words(numbers[2], numbers[3]);
    if constexpr (kDigits == 1) {
      store_in_order(_mm512_packs_epi16(one, two), high);
    } else {
      const __m512i tops_one = tops(one);
      const __m512i tops_two = tops(two);
      store_in_order(_mm512_packs_epi16(tops_one, tops_two), high);
      store_in_order(_mm512_packs_epi16(_mm512_sub_epi16(one, _mm512_slli_epi16(tops_one, 7)),
                                        _mm512_sub_epi16(two, _mm512_slli_epi16(tops_two, 7))),
                     low);
    }
    // The sum of two numbers fits 16 bits.
    return _mm512_add_epi32(sums,
                            _mm512_madd_epi16(_mm512_add_epi16(one, two), _mm512_set1_epi16(1)));
  }
  static __m512i words(V a, V b) {
    return _mm512_packs_epi32(_mm512_cvtps_epi32(a.lanes), _mm512_cvtps_epi32(b.lanes));
  }
  static __m512i tops(__m512i numbers) {
    return _mm512_srai_epi16(_mm512_add_epi16(numbers, _mm512_set1_epi16(64)), 7);
  }
  /// Packing works within quarters: four bytes of each vector, vector by vector.
  static void store_in_order(__m512i bytes, int8_t* p) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, bytes));
  }
};
