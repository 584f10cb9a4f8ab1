#pragma once
// The attention kernels' launch: grid (splits, kv_heads, tiles), kAttendThreads threads,
// AttendShared::kBytes of dynamic shared memory. `decode` is for few rows: the warps of a block
// share its rows, and split the cache. `prefill` is for many: they share the cache's tiles, and
// split the rows.

#include "attention/cuda/kernels/arguments.h"
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
  /// Thread blocks that registers leave room for on a multiprocessor.
  template <int kHeadDim>
  static constexpr int kResident = kHeadDim <= 80    ? 4
                                   : kHeadDim <= 128 ? 3
                                                     : 2;
};

struct Prefill {
  template <int kHeadDim>
  static constexpr int kEights = kHeadDim > 128 ? 1 : 2;
  static constexpr bool kSharesRows = false;
  template <int kHeadDim>
  static constexpr int kResident = kHeadDim <= 64 ? 3 : 2;
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
  /// The states of all splits are together in shared memory when they are merged.
  static constexpr int kMostSplits = static_cast<int>(kBytes / (2 * sizeof(float) * kRows));
};

/// What a launch of one of the kernels takes.
struct AttendKernel {
  const char* name;
  size_t shared_bytes;
  int resident;  // thread blocks that registers leave room for on a multiprocessor
  int rows;      // of a tile, at most
  int partial_floats;
  int most_splits;
};

template <typename Mode, int kHeadDim>
constexpr AttendKernel attend_kernel(const char* name) {
  using Shared = AttendShared<kHeadDim, Mode>;
  return {.name = name,
          .shared_bytes = Shared::kBytes,
          .resident = Mode::template kResident<kHeadDim>,
          .rows = Shared::kRows,
          .partial_floats = Shared::kPartialFloats,
          .most_splits = Shared::kMostSplits};
}

/// The kernel for few rows, and the one for many, by head size; without a name: there is none.
constexpr AttendKernel decode_kernel(int head_dim) {
  switch (head_dim) {
    case 64:
      return attend_kernel<Decode, 64>("decode_64");
    case 80:
      return attend_kernel<Decode, 80>("decode_80");
    case 96:
      return attend_kernel<Decode, 96>("decode_96");
    case 128:
      return attend_kernel<Decode, 128>("decode_128");
    case 256:
      return attend_kernel<Decode, 256>("decode_256");
    default:
      return {};
  }
}
constexpr AttendKernel prefill_kernel(int head_dim) {
  switch (head_dim) {
    case 64:
      return attend_kernel<Prefill, 64>("prefill_64");
    case 80:
      return attend_kernel<Prefill, 80>("prefill_80");
    case 96:
      return attend_kernel<Prefill, 96>("prefill_96");
    case 128:
      return attend_kernel<Prefill, 128>("prefill_128");
    case 256:
      return attend_kernel<Prefill, 256>("prefill_256");
    default:
      return {};
  }
}

}  // namespace sightline::attention::cuda
