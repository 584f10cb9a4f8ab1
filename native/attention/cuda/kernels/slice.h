#pragma once
// Coding and restoring work on slices of a block's tokens, each by a thread block of its own.

#include <cstddef>

#include "attention/block.h"

namespace sightline::attention::cuda {

inline constexpr int kSliceTokens = 32;
inline constexpr int kSlices = kBlockTokens / kSliceTokens;
inline constexpr int kSliceThreads = 128;

/// Elements of a slice, a row a token, then one row more. Rows are apart so that they start in
/// different banks.
constexpr size_t slice_shared_bytes(int head_dim) {
  return sizeof(float) * static_cast<size_t>((kSliceTokens + 1) * (head_dim + 1));
}

}  // namespace sightline::attention::cuda
