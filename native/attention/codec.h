#pragma once
// Writing tokens into blocks, and coding whole blocks to int8. Layouts: block.h.

#include <cstddef>

#include "attention/block.h"

namespace sightline::attention {

/// Rows of one KV head as the model produces them: row i starts at data + i * stride (floats).
struct Rows {
  const float* data;
  size_t stride;
  int count;
};

/// Stores keys as halves at tokens [at, at + rows.count) of an fp16 part. Elements beyond the range
/// of halves become the largest one.
void store_keys(std::byte* part, int head_dim, int capacity, int at, Rows rows);

/// Stores values as halves at tokens [at, at + rows.count) of an fp16 part.
void store_values(std::byte* part, int head_dim, int capacity, int at, Rows rows);

/// Codes the keys of a full fp16 part of kBlockTokens tokens into the K of an int8 part.
/// Error per element: at most half a step of its channel, (max - min) / 255 / 2, the step and the
/// zero point being halves rounded outwards (KIVI, arXiv 2402.02750: keys by channel).
void code_keys_int8(const std::byte* fp16, std::byte* int8, int head_dim);

/// Codes the values of a full fp16 part into the V of an int8 part, one scale per token.
/// Error per element: at most half a step, max|v| / 127 / 2 with the step rounded up to a half.
void code_values_int8(const std::byte* fp16, std::byte* int8, int head_dim);

}  // namespace sightline::attention
