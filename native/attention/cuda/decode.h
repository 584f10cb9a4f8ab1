#pragma once
// The decode kernel's launch: grid (splits, kv_heads, tiles), kDecodeThreads threads, kBytes of
// dynamic shared memory.

#include "attention/cuda/arguments.h"
#include "attention/format/access.h"
#include "attention/format/int2.h"

namespace sightline::attention::cuda {

inline constexpr int kDecodeWarps = 4;
inline constexpr int kDecodeThreads = 32 * kDecodeWarps;

/// Shared memory of a thread block: the queries, then either a ring of tiles a warp or the sums of
/// all warps and their states.
template <int kHeadDim>
struct DecodeShared {
  static constexpr size_t kQueryBytes = size_t{2} * kTileRows * (kHeadDim + 16) * sizeof(float);

  /// An entry of the ring has room for half the keys (values) of 16 tokens in FP16, in slices of 16
  /// channels, and thereby for all of any other format; and for the grids of these tokens.
  static constexpr int kSlices = (kHeadDim / kLanes + 1) / 2;
  static constexpr size_t kSliceBytes = kLanes * kLanes * sizeof(uint16_t);
  static constexpr size_t kWordBytes = kSlices * kSliceBytes;
  static constexpr size_t kGridBytes =
      size_t{2} * kLanes * sizeof(uint16_t) * (kHeadDim / int2_group(kHeadDim));
  static constexpr size_t kEntryBytes = kWordBytes + kGridBytes;
  static constexpr int kEntries = kHeadDim > 128 ? 3 : 4;
  static constexpr size_t kRingBytes = kEntryBytes * kEntries;

  static constexpr size_t kSumBytes = size_t{kDecodeWarps} * kTileRows * kHeadDim * sizeof(float);
  static constexpr size_t kStateBytes = size_t{kDecodeWarps} * kTileRows * 2 * sizeof(float);
  static constexpr size_t kAfterBytes = kRingBytes * kDecodeWarps > kSumBytes + kStateBytes
                                            ? kRingBytes* kDecodeWarps
                                            : kSumBytes + kStateBytes;
  static constexpr size_t kBytes = kQueryBytes + kAfterBytes;

  /// Of one split, in AttendArguments::partials.
  static constexpr int kPartialFloats = kTileRows * (kHeadDim + 2);
};

}  // namespace sightline::attention::cuda
