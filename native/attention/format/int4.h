#pragma once
// int4: keys by channel, values by token and group of channels; both asymmetric, the grid chosen
// for the least squared error.
//
//   K  half scale [head_dim], zero [head_dim]            k = zero[c] + scale[c] * code
//      uint8 codes [capacity / 16][head_dim / 8][16][4]
//            c = 8 * second index + last one, in the high nibble 4 more; t = 16 * first + third
//   V  half scale [groups][capacity], zero [groups][capacity]
//                                                        v = zero[g][t] + scale[g][t] * code
//      uint8 codes [head_dim / 16][capacity / 8][16][4]
//            t = 8 * second index + last one, in the high nibble 4 more; c = 16 * first + third;
//            g = c / group
//
// Squared error over a channel (a token's group): at most that of the grid over the whole range,
// whose error per element is half a step, (max - min) / 15 / 2.

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

/// Channels that share a value's grid; divides head_dim.
constexpr int int4_group(int head_dim) { return head_dim % 128 == 0 ? 128 : head_dim; }

struct Int4Keys {
  size_t scale = 0, zero, codes, bytes;
  constexpr explicit Int4Keys(const Extent& extent)
      : zero(sizeof(uint16_t) * area(extent.head_dim, 1)),
        codes(lines(2 * zero)),
        bytes(codes + area(extent.head_dim, extent.capacity) / 2) {}
};

/// Of int4 and int2 values: `bits` a code, grids shared by `group` channels.
struct GroupedValues {
  size_t scale = 0, zero, codes, bytes;
  int group, groups;
  constexpr GroupedValues(const Extent& extent, int bits, int channels)
      : zero(sizeof(uint16_t) * area(extent.head_dim / channels, extent.capacity)),
        codes(lines(2 * zero)),
        bytes(codes + area(extent.head_dim, extent.capacity) * static_cast<size_t>(bits) / 8),
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
