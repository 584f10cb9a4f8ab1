#pragma once
// int8: keys by channel, asymmetric (KIVI, arXiv 2402.02750); values by token, symmetric.
//
//   K  uint8 [head_dim / 4][capacity][4]   k = zero[c] + scale[c] * code     the last index is the
//      half scale [head_dim], zero [head_dim]                                channel's, mod 4
//   V  uint8 [capacity / 4][head_dim][4]   v = scale[t] * (code - 128)       the last index is the
//      half scale [capacity]                                                 token's, mod 4
//
// Four codes that one integer dot product sums up lie side by side.
//
// Error per element: at most half a step; K: (max - min) / 255 of the channel, V: max|v| / 127 of
// the token, steps and zero points being halves rounded outwards.

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

inline constexpr int kInt8ValueBias = 128;

struct Int8Keys {
  size_t codes = 0, scale, zero, bytes;
  constexpr explicit Int8Keys(const Extent& extent)
      : scale(area(extent.head_dim, extent.capacity)),
        zero(scale + sizeof(uint16_t) * area(extent.head_dim, 1)),
        bytes(zero + sizeof(uint16_t) * area(extent.head_dim, 1)) {}
};

struct Int8Values {
  size_t codes = 0, scale, bytes;
  constexpr explicit Int8Values(const Extent& extent)
      : scale(area(extent.head_dim, extent.capacity)),
        bytes(scale + sizeof(uint16_t) * area(extent.capacity, 1)) {}
};

void encode_keys_int8(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_keys_int8(const std::byte* coded, uint16_t* halves, const Extent& extent);
void encode_values_int8(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_values_int8(const std::byte* coded, uint16_t* halves, const Extent& extent);

}  // namespace sightline::attention
