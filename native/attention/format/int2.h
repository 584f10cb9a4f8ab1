#pragma once
// int2: values by token and group of channels, asymmetric; for values only.
//
//   V  half mean [head_dim]
//      half scale [groups][capacity], zero [groups][capacity]
//      uint8 codes [head_dim / 16][capacity / 16][16][4]
//            t = 16 * second index + last one, 4 more for every two bits; c = 16 * first + third;
//            v[t][c] = mean[c] + zero[g][t] + scale[g][t] * code, g = c / group
//
// Error as for int4, with 3 in place of 15.

#include "attention/format/int4.h"

namespace sightline::attention {

/// Channels that share a grid; divides head_dim.
constexpr int int2_group(int head_dim) { return head_dim % 64 == 0 ? 64 : head_dim; }

constexpr GroupedLayout int2_layout(const Extent& extent) {
  return {extent, 2, int2_group(extent.head_dim)};
}

}  // namespace sightline::attention
