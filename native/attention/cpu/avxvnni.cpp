#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

SIGHTLINE_TARGET_BEGIN("avx2,avxvnni,fma,f16c")
namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/avx2.inl"

struct Vnni {
  static __m256i dot4(__m256i sums, __m256i codes, __m256i digits) {
#if defined(__GNUC__) && !defined(__clang__)
    // Around its own intrinsic GCC (12) copies every sum: this is one instruction in place.
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(codes), "x"(digits));
    return sums;
#else
    return _mm256_dpbusd_avx_epi32(sums, codes, digits);
#endif
  }
};

using V = Vector256<Vnni>;

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvxVnni{"avxvnni", has_avxvnni, attend, observe};
}
