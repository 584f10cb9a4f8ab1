// Attention of rows over blocks (FlashDecoding, FlashAttention-2): every thread block takes one
// tile of rows, one KV head and one of the splits of the tile's copies, 16 tokens at a time.
// Products are
//
//   logits^T [16 tokens][8 rows]    = keys * queries^T
//   sums^T   [16 channels][8 rows] += values^T * weights^T
//
// so that decoding spends no part of a product on rows that are not there, whatever the group size.
// Codes are decoded in registers, where operands need them. Grids by channel fold into the queries,
// those by token into logits and weights.

#include <limits>

#include "attention/cuda/kernels/attend.h"
#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/feed.h"
#include "attention/cuda/kernels/rotate.h"
#include "attention/cuda/kernels/warp.h"

namespace sightline::attention::cuda {
namespace {

/// The tile's queries in shared memory, in units of ln 2, zeros where there is no row.
template <int kHeadDim, typename Mode>
struct Queries {
  using Shared = AttendShared<kHeadDim, Mode>;
  float plain[Shared::kRows][Shared::kQueryStride];
  float rotated[Shared::kRows][Shared::kQueryStride];  // where some block's keys are int4
};

/// Behind the sums of a split.
template <typename Shared, int kHeadDim>
__device__ RowState* states_in(float* partial) {
  return reinterpret_cast<RowState*>(partial + Shared::kRows * kHeadDim);
}

struct Merged {
  RowState state;
  float sum;
};

/// One element of a row from `count` disjoint sets of tokens.
template <typename StateOf, typename SumOf>
__device__ Merged merge(int count, const StateOf& state_of, const SumOf& sum_of) {
  Merged all{{kNone, 0}, 0};
  for (int i = 0; i < count; i++) all.state.m = fmaxf(all.state.m, state_of(i).m);
  if (all.state.m == kNone) return all;
  for (int i = 0; i < count; i++) {
    const RowState one = state_of(i);
    const float share = exp2_of(one.m - all.state.m);
    all.state.l += share * one.l;
    all.sum += share * sum_of(i);
  }
  return all;
}

/// Writes one row's output.
template <int kHeadDim>
__device__ void finish(const AttendArguments& arguments, const RowTile& tile, int kv_head, int row,
                       int channel, RowState state, float sum) {
  const int group = arguments.heads / arguments.kv_heads;
  const int at = tile.first_row + row;
  const int head = kv_head * group + at % group;
  if (arguments.sinks != nullptr) {
    const float sink = kLog2E * read(arguments.sinks + head);
    const float most = fmaxf(state.m, sink);
    const float keep = exp2_of(state.m - most);
    sum *= keep;
    state = {most, state.l * keep + exp2_of(sink - most)};
  }
  const int64_t query = at / group;
  if (arguments.states != nullptr && channel == 0)
    write(arguments.states + query * arguments.heads + head, state);
  write(arguments.out + (query * arguments.heads + head) * kHeadDim + channel,
        state.l > 0.0f ? sum / state.l : 0.0f);
}

template <int kHeadDim, typename Mode>
__device__ void attend(const AttendArguments& arguments) {
  using Shared = AttendShared<kHeadDim, Mode>;
  using Tile = Queries<kHeadDim, Mode>;
  static_assert(sizeof(Tile) == Shared::kQueryBytes);
  constexpr int kElements = Shared::kRows * kHeadDim;
  constexpr int kEights = Mode::template kEights<kHeadDim>;
  constexpr int kStep = Feed<kHeadDim, Mode>::kStep;
  auto& queries = *reinterpret_cast<Tile*>(dynamic_shared());

  const int thread = static_cast<int>(thread_index().x);
  const int warp = thread / 32;
  const int split = static_cast<int>(block_index().x);
  const int splits = static_cast<int>(grid_size().x);
  const int kv_head = static_cast<int>(block_index().y);
  const RowTile tile = read(arguments.tiles + block_index().z);
  const CopyView* copies = arguments.copies + tile.first_copy;
  const int start = static_cast<int>(static_cast<int64_t>(tile.copies) * split / splits);
  const int last = static_cast<int>(static_cast<int64_t>(tile.copies) * (split + 1) / splits);
  const int first = start + (Mode::kSharesRows ? warp : 0);
  const int ring = Mode::kSharesRows ? warp : 0;

  Feed<kHeadDim, Mode> feed(dynamic_shared() + Shared::kQueryBytes + ring * Shared::kRingBytes,
                            copies, first, last, kv_head);
  feed.start();

  const int group = arguments.heads / arguments.kv_heads;
  for (int i = thread; i < kElements; i += kAttendThreads) {
    const int row = i / kHeadDim, channel = i % kHeadDim;
    float element = 0;
    if (row < tile.rows) {
      const int at = tile.first_row + row;
      element = arguments.scale * kLog2E *
                read(arguments.q + at / group * arguments.q_token_stride +
                     (kv_head * group + at % group) * arguments.q_head_stride + channel);
    }
    queries.plain[row][channel] = element;
    queries.rotated[row][channel] = element;
  }
  sync_block();
  if (arguments.rotates)
    rotate_rows<kAttendThreads>([&](int row) { return queries.rotated[row]; }, Shared::kRows,
                                kHeadDim, thread);

  Warp<kHeadDim, Mode> state;
  const int own_rows = Mode::kSharesRows ? 0 : warp * Shared::kWarpRows;
  SIGHTLINE_UNROLLED
  for (int n = 0; n < kEights; n++)
    state.eights[n].start(arguments, queries, tile, own_rows + n * kEight);
  for (int block = first; block < last; block += kStep) {
    const CopyView copy = read(copies + block);
    if (copy.tokens == 0) continue;
    state.enter(copy, kv_head);
    for (int t = 0; t * kLanes < copy.tokens; t++) {
      float weights[kEights][4] = {};
      for (int i = 0; i < feed.parts(copy.tier.k); i++)
        state.multiply_keys(copy, feed.take(i), weights);
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) {
        state.eights[n].complete(arguments, copy, kv_head, t, state.key_step, weights[n]);
        state.eights[n].soften(weights[n]);
      }
      for (int i = 0; i < feed.parts(copy.tier.v); i++)
        state.multiply_values(copy, feed.take(i), weights);
    }
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) state.eights[n].leave(copy, feed.values_of(copy, kv_head));
  }

  // The warps' states come together where queries and tiles were.
  sync_block();
  auto* const sums = reinterpret_cast<float*>(dynamic_shared());  // [sets][rows][head_dim]
  auto* const states = reinterpret_cast<RowState*>(dynamic_shared() + Shared::kSumBytes);
  const int set = Mode::kSharesRows ? warp : 0;
  SIGHTLINE_UNROLLED
  for (int e = 0; e < kEights; e++) {
    const Eight<kHeadDim>& eight = state.eights[e];
    for (int n = 0; n < 2; n++) {
      const int row = own_rows + e * kEight + 2 * eight.lane.pair + n;
      const float l = sum_of_rows(eight.l[n]);
      const int at = set * Shared::kRows + row;
      if (eight.lane.row == 0) states[at] = {eight.m[n] - kWeightShift, l};
      for (int p = 0; p < kHeadDim / kLanes; p++)
        for (int i = 0; i < 2; i++)
          sums[at * kHeadDim + p * kLanes + 2 * eight.lane.row + i] = eight.sums[p][2 * i + n];
    }
  }
  sync_block();

  const int group_index = static_cast<int>(block_index().z) * arguments.kv_heads + kv_head;
  float* const partials =
      arguments.partials + static_cast<int64_t>(group_index) * splits * Shared::kPartialFloats;
  const int elements = tile.rows * kHeadDim;
  for (int i = thread; i < elements; i += kAttendThreads) {
    const int row = i / kHeadDim, channel = i % kHeadDim;
    const auto merged = merge(
        Shared::kSets, [&](int s) { return states[s * Shared::kRows + row]; },
        [&](int s) { return sums[s * kElements + i]; });
    if (splits == 1) {
      finish<kHeadDim>(arguments, tile, kv_head, row, channel, merged.state, merged.sum);
      continue;
    }
    float* own = partials + split * Shared::kPartialFloats;
    write(own + i, merged.sum);
    if (channel == 0) write(states_in<Shared, kHeadDim>(own) + row, merged.state);
  }
  if (splits == 1) return;

  // The last one to come merges what all wrote.
  sync_block();
  auto* const before = reinterpret_cast<int*>(dynamic_shared());
  if (thread == 0) *before = arrive(arguments.arrivals + group_index);
  sync_block();
  const bool is_last = *before == splits - 1;
  sync_block();
  if (!is_last) return;
  auto* const all = reinterpret_cast<RowState*>(dynamic_shared());  // [splits][tile.rows]
  for (int i = thread; i < splits * tile.rows; i += kAttendThreads) {
    float* partial = partials + i / tile.rows * Shared::kPartialFloats;
    all[i] = read_fresh(states_in<Shared, kHeadDim>(partial) + i % tile.rows);
  }
  sync_block();
  for (int i = thread; i < elements; i += kAttendThreads) {
    const int row = i / kHeadDim, channel = i % kHeadDim;
    const auto merged = merge(
        splits, [&](int s) { return all[s * tile.rows + row]; },
        [&](int s) { return read_fresh(partials + s * Shared::kPartialFloats + i); });
    finish<kHeadDim>(arguments, tile, kv_head, row, channel, merged.state, merged.sum);
  }
  if (thread == 0) write(arguments.arrivals + group_index, 0);
}

}  // namespace

#define SIGHTLINE_ATTEND(head_dim)                                                   \
  SIGHTLINE_KERNEL(decode_##head_dim, kAttendThreads, Decode::kResident<head_dim>,   \
                   AttendArguments) {                                                \
    attend<head_dim, Decode>(arguments);                                             \
  }                                                                                  \
  SIGHTLINE_KERNEL(prefill_##head_dim, kAttendThreads, Prefill::kResident<head_dim>, \
                   AttendArguments) {                                                \
    attend<head_dim, Prefill>(arguments);                                            \
  }
SIGHTLINE_ATTEND(64)
SIGHTLINE_ATTEND(80)
SIGHTLINE_ATTEND(96)
SIGHTLINE_ATTEND(128)
SIGHTLINE_ATTEND(256)

}  // namespace sightline::attention::cuda
