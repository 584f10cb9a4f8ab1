#pragma once
// int4: keys by channel, values by token and group of channels; both asymmetric, the grid chosen
// for the least squared error.
//
//   K  uint8 [head_dim / 8][capacity][4]   k = zero[c] + scale[c] * code
//      low nibble: channel 8 i + j, high nibble: channel 8 i + 4 + j
//      half scale [head_dim], zero [head_dim]
//   V  uint8 [capacity / 8][head_dim][4]   v = zero[g][t] + scale[g][t] * code, g = c / group
//      low nibble: token 8 i + j, high nibble: token 8 i + 4 + j
//      half scale [groups][capacity], zero [groups][capacity]
//
// Squared error over a channel (a token's group): at most that of the grid over the whole range,
// whose error per element is half a step, (max - min) / 15 / 2.

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

/// Channels that share a value's grid; divides head_dim.
constexpr int int4_group(int head_dim) { return head_dim % 128 == 0 ? 128 : head_dim; }

struct Int4Keys {
  size_t codes = 0, scale, zero, bytes;
  constexpr explicit Int4Keys(const Extent& extent)
      : scale(area(extent.head_dim, extent.capacity) / 2),
        zero(scale + sizeof(uint16_t) * area(extent.head_dim, 1)),
        bytes(zero + sizeof(uint16_t) * area(extent.head_dim, 1)) {}
};

/// Of int4 and int2 values: `bits` a code, grids shared by `group` channels.
struct GroupedValues {
  size_t codes = 0, scale, zero, bytes;
  int group, groups;
  constexpr GroupedValues(const Extent& extent, int bits, int channels)
      : scale(area(extent.head_dim, extent.capacity) * static_cast<size_t>(bits) / 8),
        zero(scale + sizeof(uint16_t) * area(extent.head_dim / channels, extent.capacity)),
        bytes(zero + sizeof(uint16_t) * area(extent.head_dim / channels, extent.capacity)),
        group(channels),
        groups(extent.head_dim / channels) {}
};

constexpr GroupedValues int4_values(const Extent& extent) {
  return {extent, 4, int4_group(extent.head_dim)};
}

void encode_keys_int4(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_keys_int4(const std::byte* coded, uint16_t* halves, const Extent& extent);

/// Values on grouped grids; also those of int2.
void encode_grouped(const uint16_t* halves, std::byte* out, const Extent& extent, int bits,
                    const GroupedValues& layout);
void decode_grouped(const std::byte* coded, uint16_t* halves, const Extent& extent, int bits,
                    const GroupedValues& layout);

}  // namespace sightline::attention
