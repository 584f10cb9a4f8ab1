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

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

inline constexpr int kInt8ValueBias = 128;

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
