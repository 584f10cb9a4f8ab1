#pragma once
// int4: what is left of keys and values when the block's mean is taken off, by token and group of
// channels, asymmetric; keys are rotated first (rotation.h).
//
//   K  half mean [head_dim]
//      half scale [groups][capacity], zero [groups][capacity]
//      uint8 codes [capacity / 16][head_dim / 8][16][4]      r[t] = rotate(k[t] - mean)
//            c = 8 * second index + last one, in the high nibble 4 more; t = 16 * first + third;
//            r[t][c] = zero[g][t] + scale[g][t] * code, g = c / group
//   V  half mean [head_dim]
//      half scale [groups][capacity], zero [groups][capacity]
//      uint8 codes [head_dim / 16][capacity / 8][16][4]
//            t = 8 * second index + last one, in the high nibble 4 more; c = 16 * first + third;
//            v[t][c] = mean[c] + zero[g][t] + scale[g][t] * code, g = c / group
//
// The grids have the least squared error that refitting finds (affine.h). Squared error over a
// token's group: at most that of the grid over the whole range, whose error per element is half a
// step, (max - min) / 15 / 2, of the rotated rest.
//
// Measured against keys by channel (KIVI): half the divergence on a trained model of head size 64,
// and as robust to key biases of low and middle frequency, which are what the mean takes off. The
// rotation (QuaRot, arXiv 2404.00456) is what holds those of high frequency.

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

/// Channels that share a grid; divides head_dim.
constexpr int int4_group(int head_dim) { return head_dim % 128 == 0 ? 128 : head_dim; }

/// Of int4 keys, and of int4 and int2 values: `bits` a code, grids shared by `channels`.
struct GroupedLayout {
  size_t mean = 0, scale, zero, codes, bytes;
  int group, groups;
  constexpr GroupedLayout(const Extent& extent, int bits, int channels)
      : scale(sizeof(uint16_t) * area(extent.head_dim, 1)),
        zero(scale + sizeof(uint16_t) * area(extent.head_dim / channels, extent.capacity)),
        codes(lines(zero + sizeof(uint16_t) * area(extent.head_dim / channels, extent.capacity))),
        bytes(codes + area(extent.head_dim, extent.capacity) * static_cast<size_t>(bits) / 8),
        group(channels),
        groups(extent.head_dim / channels) {}
};

/// Of keys and of values alike.
constexpr GroupedLayout int4_layout(const Extent& extent) {
  return {extent, 4, int4_group(extent.head_dim)};
}

void encode_keys_int4(const uint16_t* halves, std::byte* out, const Extent& extent);
void decode_keys_int4(const std::byte* coded, uint16_t* halves, const Extent& extent);

/// Values, int4 or int2.
void encode_values_grouped(const uint16_t* halves, std::byte* out, const Extent& extent, int bits,
                           const GroupedLayout& layout);
void decode_values_grouped(const std::byte* coded, uint16_t* halves, const Extent& extent, int bits,
                           const GroupedLayout& layout);

}  // namespace sightline::attention
