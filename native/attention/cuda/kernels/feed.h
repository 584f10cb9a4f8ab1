#pragma once
// The way to the tiles of blocks, of one warp or of all together: a ring in shared memory that is
// filled ahead of use by asynchronous copies. A tile is 16 tokens; keys and values of it come one
// after the other, those of 16-bit formats in two parts each.

#include "attention/cuda/kernels/attend.h"
#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"

namespace sightline::attention::cuda {

/// What the ring gives: words of codes or halves, and grids of the tile's tokens.
struct Entry {
  const std::byte* words;
  const std::byte* grids;
  int part;

  /// The halves of tokens 2 * i and 2 * i + 1 in a row of grids: for int8 values the steps; for the
  /// grids of groups of channels steps and zero points in turn.
  __device__ uint32_t grid(int row, int i) const {
    return *reinterpret_cast<const uint32_t*>(grids + row * kGridRowBytes + i * 4);
  }
  static constexpr int kGridRowBytes = kLanes * static_cast<int>(sizeof(uint16_t));
};

template <int kHeadDim, typename Mode>
class Feed {
 public:
  using Shared = AttendShared<kHeadDim, Mode>;
  static constexpr int kSlices = Shared::kSlices;
  /// From one block to the next.
  static constexpr int kStep = Mode::kSharesRows ? kAttendWarps : 1;

  /// Blocks first, first + kStep, ... below last.
  __device__ Feed(std::byte* ring, const CopyView* copies, int first, int last, int kv_head)
      : ring_(ring), copies_(copies), block_(first), last_(last), kv_head_(kv_head) {}

  __device__ void start() {
    find_block();
    for (int i = 0; i + 1 < Shared::kEntries; i++) fetch();
  }

  /// The next entry, good until the next call.
  __device__ Entry take(int part) {
    wait_for_copies<Shared::kEntries - 2>();
    // Of all threads; and none reads the entry any more that is filled now.
    if constexpr (Mode::kSharesRows) {
      sync_warp();
    } else {
      sync_block();
    }
    fetch();
    const std::byte* entry = ring_ + taken_ * Shared::kEntryBytes;
    taken_ = taken_ + 1 == Shared::kEntries ? 0 : taken_ + 1;
    return {entry, entry + Shared::kWordBytes, part};
  }

  __device__ static constexpr int parts(Format format) {
    return bits_of(format) == 16 && kHeadDim / kLanes > kSlices ? 2 : 1;
  }

  __device__ static const std::byte* keys_of(const CopyView& copy, int kv_head) {
    return copy.data + static_cast<int64_t>(copy.part_lines) * kv_head * kPartAlignment;
  }
  __device__ static const std::byte* values_of(const CopyView& copy, int kv_head) {
    return keys_of(copy, kv_head) + copy.values_line * kPartAlignment;
  }

 private:
  /// Threads that copy together, and which of them this is.
  static constexpr int kThreads = Mode::kSharesRows ? 32 : kAttendThreads;
  __device__ static int thread() {
    return static_cast<int>(Mode::kSharesRows ? lane_index() : thread_index().x);
  }

  __device__ void find_block() {
    for (; block_ < last_; block_ += kStep) {
      copy_ = read(copies_ + block_);
      if (copy_.tokens > 0) return;
    }
  }

  /// Starts the copies into the next entry; a group of none where everything is under way.
  __device__ void fetch() {
    if (block_ < last_) {
      std::byte* entry = ring_ + fetched_ * Shared::kEntryBytes;
      const int key_parts = parts(copy_.tier.k);
      if (part_ < key_parts)
        fetch_keys(entry, part_);
      else
        fetch_values(entry, part_ - key_parts);
      if (++part_ == key_parts + parts(copy_.tier.v)) {
        part_ = 0;
        if (++tile_ * kLanes >= copy_.tokens) {
          tile_ = 0;
          block_ += kStep;
          find_block();
        }
      }
    }
    commit_copies();
    fetched_ = fetched_ + 1 == Shared::kEntries ? 0 : fetched_ + 1;
  }

  __device__ Extent extent() const { return {kHeadDim, copy_.capacity, copy_.tokens}; }

  __device__ void fetch_keys(std::byte* entry, int part) {
    const std::byte* keys = keys_of(copy_, kv_head_);
    const int bits = bits_of(copy_.tier.k);
    const int tile_bytes = kHeadDim * kLanes * bits / 8;
    const int skipped = part * static_cast<int>(Shared::kWordBytes);
    const int bytes = min(tile_bytes - skipped, static_cast<int>(Shared::kWordBytes));
    size_t codes = 0;
    if (copy_.tier.k == Format::int8) codes = Int8Keys(extent()).codes;
    if (copy_.tier.k == Format::int4) {
      const GroupedLayout layout = int4_layout(extent());
      codes = layout.codes;
      fetch_grids(entry, keys, layout);
    }
    const std::byte* from = keys + codes + tile_ * tile_bytes + skipped;
    SIGHTLINE_ROLLED
    for (int chunk = thread(); chunk * kChunkBytes < bytes; chunk += kThreads)
      copy_async(entry + chunk_place(chunk) * kChunkBytes, from + chunk * kChunkBytes);
  }

  __device__ void fetch_values(std::byte* entry, int part) {
    const std::byte* values = values_of(copy_, kv_head_);
    const int bits = bits_of(copy_.tier.v);
    size_t codes = 0;
    if (copy_.tier.v == Format::int8) {
      codes = Int8Values(extent()).codes;
      fetch_grid_row(entry, 0, values + tile_ * Entry::kGridRowBytes);
    }
    if (copy_.tier.v == Format::int4 || copy_.tier.v == Format::int2) {
      const GroupedLayout layout =
          copy_.tier.v == Format::int4 ? int4_layout(extent()) : int2_layout(extent());
      codes = layout.codes;
      fetch_grids(entry, values, layout);
    }
    const int first = part * kSlices;
    const int panels =
        parts(copy_.tier.v) == 1 ? kHeadDim / kLanes : min(kHeadDim / kLanes - first, kSlices);
    const int chunks = 2 * bits;  // of 16 tokens in a panel
    const int64_t panel_bytes = int64_t{copy_.capacity} * kLanes * bits / 8;
    const std::byte* from = values + codes + first * panel_bytes + tile_ * chunks * kChunkBytes;
    SIGHTLINE_ROLLED
    for (int chunk = thread(); chunk < panels * chunks; chunk += kThreads)
      copy_async(entry + chunk_place(chunk) * kChunkBytes,
                 from + chunk / chunks * panel_bytes + chunk % chunks * kChunkBytes);
  }

  __device__ void fetch_grids(std::byte* entry, const std::byte* part,
                              const GroupedLayout& layout) {
    for (int g = 0; g < layout.groups; g++) {
      const int64_t skipped =
          (int64_t{g} * copy_.capacity + tile_ * kLanes) * static_cast<int>(sizeof(uint16_t));
      fetch_grid_row(entry, 2 * g, part + layout.scale + skipped);
      fetch_grid_row(entry, 2 * g + 1, part + layout.zero + skipped);
    }
  }
  __device__ void fetch_grid_row(std::byte* entry, int row, const std::byte* from) {
    const int at = thread() * kChunkBytes;
    if (at < Entry::kGridRowBytes)
      copy_async(entry + Shared::kWordBytes + row * Entry::kGridRowBytes + at, from + at);
  }

  std::byte* ring_;
  const CopyView* copies_;
  CopyView copy_;
  int block_, last_, kv_head_;
  int tile_ = 0, part_ = 0;      // to be fetched next
  int fetched_ = 0, taken_ = 0;  // entries of the ring
};

}  // namespace sightline::attention::cuda
