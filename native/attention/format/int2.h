#pragma once
// int2: values by token and group of channels, asymmetric; for values only.
//
//   V  uint8 [capacity / 16][head_dim][4]   v = zero[g][t] + scale[g][t] * code, g = c / group
//      bits 2 k and 2 k + 1: token 16 i + 4 k + j
//      half scale [groups][capacity], zero [groups][capacity]
//
// Error as for int4, with 3 in place of 15.

#include "attention/format/int4.h"

namespace sightline::attention {

/// Channels that share a grid; divides head_dim.
constexpr int int2_group(int head_dim) { return head_dim % 64 == 0 ? 64 : head_dim; }

constexpr GroupedValues int2_values(const Extent& extent) {
  return {extent, 2, int2_group(extent.head_dim)};
}

}  // namespace sightline::attention
