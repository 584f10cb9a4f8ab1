#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/half.h"

SIGHTLINE_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
namespace sightline::attention::cpu {
namespace {

struct Half;
struct V {
  static constexpr int kWidth = 16;
  static constexpr int kRows = 8;  // 16 sums of 32 registers
  __m512 lanes;

  static V load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static V load(const Half* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static V load(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
  }
  static V load(const int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, lanes); }
  static V broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static V zero() { return {_mm512_setzero_ps()}; }
  static V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
  static V max(V a, V b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
  static V round(V a) {
    return {_mm512_roundscale_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static V pow2(V a) { return {_mm512_scalef_ps(_mm512_set1_ps(1.0f), a.lanes)}; }
  static float sum(V a) { return _mm512_reduce_add_ps(a.lanes); }
  static float largest(V a) { return _mm512_reduce_max_ps(a.lanes); }
  static V mul(V a, V b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
  static V add(V a, V b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
};

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvx512{"avx512", has_avx512, attend};
}
