#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

SIGHTLINE_TARGET_BEGIN("avx2,fma,f16c")
namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/avx2.inl"

struct Multiplies {
  static __m256i dot4(__m256i sums, __m256i codes, __m256i digits) {
    const __m256i pairs = _mm256_maddubs_epi16(codes, digits);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

using V = Vector256<Multiplies>;

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvx2{"avx2", has_avx2, attend, observe};
}
