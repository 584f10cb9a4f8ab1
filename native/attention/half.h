#pragma once
// IEEE 754 binary16 in portable C++: conversions round to nearest even.

#include <bit>
#include <cstdint>

#include "attention/both_sides.h"

namespace sightline::attention {

inline constexpr float kLargestHalf = 65504.0f;

/// Without branches, so that compilers make vectors of it.
SIGHTLINE_BOTH inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffu) << 13;
  // The exponent is re-biased by a multiplication, which also normalises subnormal halves; the one
  // of infinity and NaN, which keep their payload, becomes the largest.
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t beyond = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | beyond | sign);
}

SIGHTLINE_BOTH inline uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // rounds past 65504
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Subnormal half: adding 0.5 lets the float adder round at 2^-24.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(shifted) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

/// 1 / half, or 0 where it is not above 0: what elements are multiplied by to count steps of it.
SIGHTLINE_BOTH inline float inverse_step(uint16_t half) {
  const float step = half_to_float(half);
  return step > 0.0f ? 1.0f / step : 0.0f;
}

/// Within the range of halves; NaN stays NaN.
SIGHTLINE_BOTH inline float clamped_to_halves(float value) {
  if (value < -kLargestHalf) return -kLargestHalf;
  return value > kLargestHalf ? kLargestHalf : value;
}

/// The largest half <= value; value is finite and at least -65504.
SIGHTLINE_BOTH inline uint16_t half_at_most(float value) {
  const uint16_t half = float_to_half(value);
  if (half_to_float(half) <= value) return half;
  if (half == 0x0000u) return 0x8001u;
  return static_cast<uint16_t>((half & 0x8000u) != 0 ? half + 1u : half - 1u);
}

/// The smallest half >= value; value is finite and at most 65504.
SIGHTLINE_BOTH inline uint16_t half_at_least(float value) {
  return static_cast<uint16_t>(half_at_most(-value) ^ 0x8000u);
}

}  // namespace sightline::attention
