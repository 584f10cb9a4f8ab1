#pragma once
// The attention kernels' launch: grid (splits, kv_heads, tiles), kAttendThreads threads,
// AttendShared::kBytes of dynamic shared memory. `decode` is for few rows: the warps of a block
// share its rows, and split the cache. `prefill` is for many: they share the cache's tiles, and
// split the rows.

#include "attention/cuda/arguments.h"
#include "attention/format/access.h"
#include "attention/format/int2.h"

namespace sightline::attention::cuda {

inline constexpr int kAttendWarps = 4;
inline constexpr int kAttendThreads = 32 * kAttendWarps;

/// Rows that are columns of one product.
inline constexpr int kEight = 8;

struct Decode {
  template <int kHeadDim>
  static constexpr int kEights = 1;  // of a warp
  static constexpr bool kSharesRows = true;
};

struct Prefill {
  template <int kHeadDim>
  static constexpr int kEights = kHeadDim > 128 ? 1 : 2;
  static constexpr bool kSharesRows = false;
};

/// Shared memory of a thread block: the queries and rings of tiles; at the end the sums and states
/// of all warps.
template <int kHeadDim, typename Mode>
struct AttendShared {
  static constexpr int kWarpRows = kEight * Mode::template kEights<kHeadDim>;
  /// The most rows of a RowTile.
  static constexpr int kRows = kWarpRows * (Mode::kSharesRows ? 1 : kAttendWarps);
  static constexpr int kQueryStride = kHeadDim + 16;  // rows read together meet in no bank
  static constexpr size_t kQueryBytes = size_t{2} * kRows * kQueryStride * sizeof(float);

  /// An entry of a ring has room for half the keys (values) of 16 tokens in FP16, in slices of 16
  /// channels, and thereby for all of any other format; and for the grids of these tokens.
  static constexpr int kSlices = (kHeadDim / kLanes + 1) / 2;
  static constexpr size_t kSliceBytes = kLanes * kLanes * sizeof(uint16_t);
  static constexpr size_t kWordBytes = kSlices * kSliceBytes;
  static constexpr size_t kGridBytes =
      size_t{2} * kLanes * sizeof(uint16_t) * (kHeadDim / int2_group(kHeadDim));
  static constexpr size_t kEntryBytes = kWordBytes + kGridBytes;
  static constexpr int kEntries = kHeadDim > 128 ? 3 : 4;
  static constexpr int kRings = Mode::kSharesRows ? kAttendWarps : 1;
  static constexpr size_t kRingBytes = kEntryBytes * kEntries;

  /// Sets of sums that come together in the end.
  static constexpr int kSets = Mode::kSharesRows ? kAttendWarps : 1;
  static constexpr size_t kSumBytes = size_t{kSets} * kRows * kHeadDim * sizeof(float);
  static constexpr size_t kStateBytes = size_t{kSets} * kRows * 2 * sizeof(float);

  static constexpr size_t kRunningBytes = kQueryBytes + kRings * kRingBytes;
  static constexpr size_t kFinalBytes = kSumBytes + kStateBytes;
  static constexpr size_t kBytes = kRunningBytes > kFinalBytes ? kRunningBytes : kFinalBytes;

  /// Of one split, in AttendArguments::partials.
  static constexpr int kPartialFloats = kRows * (kHeadDim + 2);
};

}  // namespace sightline::attention::cuda
