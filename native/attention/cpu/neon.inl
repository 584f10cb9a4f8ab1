// The vector of NEON, with the dot product that `Dot` gives: dot4(sums, codes, digits).

struct Half;
struct E4m3;

template <typename Dot>
struct Vector128 : Dot {
  static constexpr int kWidth = 4;
  static constexpr int kRows = 6;  // 24 sums, 4 vectors of b and a broadcast of 32 registers
  static constexpr int kIntegerRegisters = 20;  // beside 4 bytes, digits, products, constants
  static constexpr int kIntegerPanels = 1;
  static constexpr int kPanels = 1;
  static constexpr int kDotBias = 128;
  using V = Vector128;
  using Sums = int32x4_t;
  using Bytes = uint8x16_t;
  using Fields = int8x16_t;  // dot products are of signed bytes: kDotBias is taken off
  using Digits = int8x16_t;
  float32x4_t lanes;

  static V make(float32x4_t lanes) {
    V v;
    v.lanes = lanes;
    return v;
  }
  static void prefetch(const void* p) {
#if defined(_MSC_VER) && !defined(__clang__)
    __prefetch(p);
#else
    __builtin_prefetch(p);
#endif
  }
  static V load(const float* p) { return make(vld1q_f32(p)); }
  static V load(const Half* p) {
    const uint16x4_t halves = vld1_u16(reinterpret_cast<const uint16_t*>(p));
    return make(vcvt_f32_f16(vreinterpret_f16_u16(halves)));
  }
  static V load(const E4m3* p) {
    uint32_t four;
    std::memcpy(&four, p, sizeof four);
    // The sign goes to bit 15, by the arithmetic shift also to bit 14, the rest to bits 13 to 7.
    const uint8x8_t codes = vreinterpret_u8_u32(vdup_n_u32(four));
    const uint16x4_t high = vget_low_u16(vshll_n_u8(codes, 8));
    const int16x4_t placed = vshr_n_s16(vreinterpret_s16_u16(high), 1);
    const int16x4_t halves = vbic_s16(placed, vdup_n_s16(0x4000));
    return make(vcvt_f32_f16(vreinterpret_f16_s16(halves)));
  }
  void store(float* p) const { vst1q_f32(p, lanes); }
  static V broadcast(float x) { return make(vdupq_n_f32(x)); }
  static V zero() { return broadcast(0.0f); }
  static V fma(V a, V b, V c) { return make(vfmaq_f32(c.lanes, a.lanes, b.lanes)); }
  static V mul(V a, V b) { return make(vmulq_f32(a.lanes, b.lanes)); }
  static V add(V a, V b) { return make(vaddq_f32(a.lanes, b.lanes)); }
  static V sub(V a, V b) { return make(vsubq_f32(a.lanes, b.lanes)); }
  static V max(V a, V b) { return make(vmaxnmq_f32(a.lanes, b.lanes)); }
  static V magnitude(V a) { return make(vabsq_f32(a.lanes)); }
  static V round(V a) { return make(vrndnq_f32(a.lanes)); }
  static V scale2(V a, V n) {
    const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(n.lanes), vdupq_n_s32(127));
    return mul(a, make(vreinterpretq_f32_s32(vshlq_n_s32(biased, 23))));
  }
  static float sum(V a) { return vaddvq_f32(a.lanes); }
  static float largest(V a) { return vmaxnmvq_f32(a.lanes); }

  static Sums no_sums() { return vdupq_n_s32(0); }
  static Bytes load_bytes(const uint8_t* p) { return vld1q_u8(p); }
  static Digits load_digits(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  template <int kBits, int kShift>
  static Fields field(Bytes bytes) {
    if constexpr (kBits == 8) bytes = veorq_u8(bytes, vdupq_n_u8(kDotBias));
    if constexpr (kShift > 0) bytes = vshrq_n_u8(bytes, kShift);
    if constexpr (kShift + kBits < 8) bytes = vandq_u8(bytes, vdupq_n_u8((1 << kBits) - 1));
    return vreinterpretq_s8_u8(bytes);
  }
  static V combine(Sums high, Sums low, int32_t offset) {
    return to_floats(vaddq_s32(vshlq_n_s32(high, 7), low), offset);
  }
  static V to_floats(Sums sums, int32_t offset) {
    return make(vcvtq_f32_s32(vaddq_s32(sums, vdupq_n_s32(offset))));
  }
  static int32_t sum(Sums a) { return vaddvq_s32(a); }
  template <int kDigits>
  static Sums cut(const V (&numbers)[4], int8_t* high, int8_t* low, Sums sums) {
    const int16x8_t one = words(numbers[0], numbers[1]);
    const int16x8_t two = words(numbers[2], numbers[3]);
    if constexpr (kDigits == 1) {
      vst1q_s8(high, vcombine_s8(vmovn_s16(one), vmovn_s16(two)));
    } else {
      const int16x8_t tops_one = vrshrq_n_s16(one, 7);
      const int16x8_t tops_two = vrshrq_n_s16(two, 7);
      vst1q_s8(high, vcombine_s8(vmovn_s16(tops_one), vmovn_s16(tops_two)));
      vst1q_s8(low, vcombine_s8(vmovn_s16(vsubq_s16(one, vshlq_n_s16(tops_one, 7))),
                                vmovn_s16(vsubq_s16(two, vshlq_n_s16(tops_two, 7)))));
    }
    return vpadalq_s16(vpadalq_s16(sums, one), two);
  }
  static int16x8_t words(V a, V b) {
    return vcombine_s16(vmovn_s32(vcvtnq_s32_f32(a.lanes)), vmovn_s32(vcvtnq_s32_f32(b.lanes)));
  }
};
