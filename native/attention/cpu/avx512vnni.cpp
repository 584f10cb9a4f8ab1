#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

SIGHTLINE_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/avx512.inl"

struct Vnni {
  static __m512i dot4(__m512i sums, __m512i codes, __m512i digits) {
#if defined(__GNUC__) && !defined(__clang__)
    // Around its own intrinsic GCC (12) copies every sum: this is one instruction in place.
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(codes), "v"(digits));
    return sums;
#else
    return _mm512_dpbusd_epi32(sums, codes, digits);
#endif
  }
};

using V = Vector512<Vnni>;

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kAvx512Vnni{"avx512vnni", has_avx512vnni, attend, observe};
}
