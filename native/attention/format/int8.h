#pragma once
// int8: keys by channel, asymmetric (KIVI, arXiv 2402.02750); values by token, symmetric.
//
//   K  half scale [head_dim], zero [head_dim]            k = zero[c] + scale[c] * code
//      uint8 code [capacity / 16][head_dim / 4][16][4]
//            c = 4 * second index + last one, t = 16 * first + third
//   V  half scale [capacity]                             v = scale[t] * (code - 128)
//      uint8 code [head_dim / 16][capacity / 4][16][4]
//            t = 4 * second index + last one, c = 16 * first + third
//
// Error per element: at most half a step; K: (max - min) / 255 of the channel, V: max|v| / 127 of
// the token, steps and zero points being halves rounded outwards.

#include <math.h>

#include "attention/block.h"
#include "attention/both_sides.h"
#include "attention/format/access.h"
#include "attention/half.h"

namespace sightline::attention {

inline constexpr int kInt8ValueBias = 128;

/// Keys have the codes from 0 on, values those from 1 on.
inline constexpr int kLargestInt8Code = 255;

/// Turns a token's values, of magnitudes up to `largest`, into codes. NaN, which no integer is,
/// gives the lowest one.
class Int8ValueCoder {
 public:
  SIGHTLINE_BOTH explicit Int8ValueCoder(float largest)
      : scale_(half_at_least(largest / 127.0f)), inverse_(inverse_step(scale_)) {}

  SIGHTLINE_BOTH uint16_t scale() const { return scale_; }
  /// As a float.
  SIGHTLINE_BOTH float code_of(float value) const {
    const float code = nearbyintf(value * inverse_) + kInt8ValueBias;
    return code > 1.0f ? fminf(code, kLargestInt8Code) : 1.0f;
  }

 private:
  uint16_t scale_;
  float inverse_;
};

struct Int8Keys {
  size_t scale = 0, zero, codes, bytes;
  constexpr explicit Int8Keys(const Extent& extent)
      : zero(sizeof(uint16_t) * area(extent.head_dim, 1)),
        codes(lines(2 * zero)),
        bytes(codes + area(extent.head_dim, extent.capacity)) {}
};

struct Int8Values {
  size_t scale = 0, codes, bytes;
  constexpr explicit Int8Values(const Extent& extent)
      : codes(lines(sizeof(uint16_t) * area(extent.capacity, 1))),
        bytes(codes + area(extent.head_dim, extent.capacity)) {}
};

void encode_keys_int8(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_keys_int8(const std::byte* coded, uint16_t* halves, const Extent& extent);
void encode_values_int8(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_values_int8(const std::byte* coded, uint16_t* halves, const Extent& extent);

}  // namespace sightline::attention
