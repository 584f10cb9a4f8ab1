#include <arm_neon.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/features.h"
#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

SIGHTLINE_TARGET_BEGIN("arch=armv8.2-a+dotprod")
namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/neon.inl"

struct DotProducts {
  static int32x4_t dot4(int32x4_t sums, int8x16_t codes, int8x16_t digits) {
    return vdotq_s32(sums, codes, digits);
  }
};

using V = Vector128<DotProducts>;

#include "attention/cpu/body.inl"

}  // namespace
}  // namespace sightline::attention::cpu
SIGHTLINE_TARGET_END

namespace sightline::attention::cpu {
const Kernel kDotprod{"dotprod", has_dotprod, attend, observe};
}
