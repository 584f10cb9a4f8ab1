#include <arm_neon.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention/cpu/kernel.h"
#include "attention/cpu/sources.h"

namespace sightline::attention::cpu {
namespace {

#include "attention/cpu/neon.inl"

struct Multiplies {
  static int32x4_t dot4(int32x4_t sums, int8x16_t codes, int8x16_t digits) {
    // A pair of products, at most 2 * 128 * 64, fits 16 bits.
    const int16x8_t low = vmull_s8(vget_low_s8(codes), vget_low_s8(digits));
    const int16x8_t high = vmull_high_s8(codes, digits);
    return vpadalq_s16(sums, vpaddq_s16(low, high));
  }
};

using V = Vector128<Multiplies>;

#include "attention/cpu/body.inl"

}  // namespace

const Kernel kNeon{"neon", [] { return true; }, attend, observe};

}  // namespace sightline::attention::cpu
