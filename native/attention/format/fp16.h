#pragma once
// fp16: the elements as they are.
//
//   K  half [capacity / 16][head_dim][16]   the last index is the token's, mod 16
//   V  half [head_dim / 16][capacity][16]   the last index is the channel's, mod 16

#include <cstddef>

#include "attention/block.h"
#include "attention/format/access.h"

namespace sightline::attention {

constexpr size_t fp16_bytes(const Extent& extent) {
  return sizeof(uint16_t) * area(extent.head_dim, extent.capacity);
}

/// Rows of one KV head as the model produces them: row i starts at data + i * stride (floats).
struct Rows {
  const float* data;
  size_t stride;
  int count;
};

/// Stores rows as halves at tokens [at, at + rows.count). Elements beyond the range of halves
/// become the largest one: an infinite element would spoil its whole channel.
void store_keys(uint16_t* keys, const Extent& extent, int at, Rows rows);
void store_values(uint16_t* values, const Extent& extent, int at, Rows rows);

}  // namespace sightline::attention
