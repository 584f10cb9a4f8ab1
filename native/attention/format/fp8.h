#pragma once
// fp8: e4m3 (1 sign, 4 exponent and 3 mantissa bits, bias 7, largest 448) times one scale per part.
//
//   K  e4m3 [capacity / 16][head_dim][16], then half scale
//   V  e4m3 [head_dim / 16][capacity][16], then half scale
//
// Error per element: at most 2^-4 of it, or 2^-10 * scale where that is more (subnormal codes).

#include <bit>
#include <cmath>

#include "attention/block.h"
#include "attention/format/access.h"
#include "attention/half.h"

namespace sightline::attention {

struct Fp8Layout {
  size_t codes = 0, scale, bytes;
  constexpr explicit Fp8Layout(const Extent& extent)
      : scale(area(extent.head_dim, extent.capacity)), bytes(scale + sizeof(uint16_t)) {}
};

inline constexpr float kLargestE4m3 = 448.0f;

/// Nearest code, ties to even; |value| above the largest saturates.
SIGHTLINE_BOTH inline uint8_t float_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>(bits >> 24 & 0x80u);
  const float magnitude = fminf(fabsf(value), kLargestE4m3);
  if (magnitude < 0x1p-6f)  // subnormal: multiples of 2^-9
    return static_cast<uint8_t>(sign | static_cast<uint8_t>(nearbyintf(magnitude * 0x1p9f)));
  const uint32_t m = std::bit_cast<uint32_t>(magnitude);
  return static_cast<uint8_t>(sign | (((m + 0x7ffffu + (m >> 20 & 1u)) >> 20) - (120u << 3)));
}

/// Turns elements of magnitudes up to `largest` into codes.
class Fp8Coder {
 public:
  SIGHTLINE_BOTH explicit Fp8Coder(float largest)
      : scale_(half_at_least(largest / kLargestE4m3)), inverse_(inverse_step(scale_)) {}

  SIGHTLINE_BOTH uint16_t scale() const { return scale_; }
  SIGHTLINE_BOTH uint8_t operator()(float element) const {
    return float_to_e4m3(element * inverse_);
  }

 private:
  uint16_t scale_;
  float inverse_;
};

/// The code's bits, moved up, are a half of 2^-8 times the value.
SIGHTLINE_BOTH inline float e4m3_to_float(uint8_t code) {
  const auto half = static_cast<uint16_t>((code & 0x80u) << 8 | (code & 0x7fu) << 7);
  return half_to_float(half) * 0x1p8f;
}

void encode_keys_fp8(const uint16_t* halves, std::byte* out, const Extent& extent);
void encode_values_fp8(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_fp8(const std::byte* coded, uint16_t* halves, const Extent& extent);

}  // namespace sightline::attention
