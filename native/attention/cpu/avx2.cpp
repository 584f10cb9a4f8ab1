#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/half.h"

SIGHTLINE_TARGET_BEGIN("avx2,fma,f16c")
namespace sightline::attention::cpu {
namespace {

struct Half;
struct V {
  static constexpr int kWidth = 8;
  static constexpr int kRows = 6;  // 12 sums, 2 rows of b and a broadcast fit 16 registers
  __m256 lanes;

  static V load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static V load(const Half* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static V load(const uint8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))};
  }
  static V load(const int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, lanes); }
  static V broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static V zero() { return {_mm256_setzero_ps()}; }
  static V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
  static V max(V a, V b) { return {_mm256_max_ps(a.lanes, b.lanes)}; }
  static V round(V a) {
    return {_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static V pow2(V a) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(a.lanes), _mm256_set1_epi32(127));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
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
  static V mul(V a, V b) { return {_mm256_mul_ps(a.lanes, b.lanes)}; }
  static V add(V a, V b) { return {_mm256_add_ps(a.lanes, b.lanes)}; }
};

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvx2{"avx2", has_avx2, attend};
}
