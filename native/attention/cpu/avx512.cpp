#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

SIGHTLINE_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/avx512.inl"

struct Multiplies {
  static __m512i dot4(__m512i sums, __m512i codes, __m512i digits) {
    const __m512i pairs = _mm512_maddubs_epi16(codes, digits);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};

using V = Vector512<Multiplies>;

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvx512{"avx512", has_avx512, attend, observe};
}
