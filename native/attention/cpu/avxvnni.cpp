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
    return _mm256_dpbusd_avx_epi32(sums, codes, digits);
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
