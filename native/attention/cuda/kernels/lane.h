#pragma once
// Where a lane stands in the fragments of matrix products, and what lanes do together.

#include <cstdint>

#include "attention/cuda/kernels/device.h"

namespace sightline::attention::cuda {

/// Where a lane stands in fragments: operand rows `row` and row + 8, columns 2 * pair and 2 * pair
/// + 1 of a result.
struct Lane {
  int row, pair;
};

__device__ inline float2 floats_of(uint32_t halves) {
  return {float_of(static_cast<uint16_t>(halves & 0xffffu)),
          float_of(static_cast<uint16_t>(halves >> 16))};
}
__device__ inline float2 two_floats_at(const uint16_t* halves) {
  return floats_of(read(reinterpret_cast<const uint32_t*>(halves)));
}

struct FourFloats {
  float of[4];
};
__device__ inline FourFloats four_floats_at(const uint16_t* halves) {
  const uint64_t bits = read(reinterpret_cast<const uint64_t*>(halves));
  const float2 low = floats_of(static_cast<uint32_t>(bits));
  const float2 high = floats_of(static_cast<uint32_t>(bits >> 32));
  return {{low.x, low.y, high.x, high.y}};
}

/// Adds up over the lanes that hold the same columns.
__device__ inline float sum_of_rows(float value) {
  for (unsigned bits = 4; bits < 32; bits *= 2) value += shuffle_xor(value, bits);
  return value;
}
__device__ inline float largest_of_rows(float value) {
  for (unsigned bits = 4; bits < 32; bits *= 2) value = fmaxf(value, shuffle_xor(value, bits));
  return value;
}
/// Adds up over the lanes that hold the same row.
__device__ inline float sum_of_pairs(float value) {
  for (unsigned bits = 1; bits < 4; bits *= 2) value += shuffle_xor(value, bits);
  return value;
}

/// A number per row of the tile, from the lanes that hold the row to those that hold the column.
__device__ inline float2 columns_of(float of_row, const Lane& lane) {
  return {shuffle(of_row, static_cast<unsigned>(8 * lane.pair)),
          shuffle(of_row, static_cast<unsigned>(8 * lane.pair + 4))};
}

}  // namespace sightline::attention::cuda
