#pragma once
// Eight rows of queries against blocks: their operands, their softmax state, and all of attention
// but the products themselves.

#include <limits>

#include "attention/cuda/kernels/arguments.h"
#include "attention/cuda/kernels/attend.h"
#include "attention/cuda/kernels/lane.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"

namespace sightline::attention::cuda {

inline constexpr float kNone = -std::numeric_limits<float>::infinity();

/// Weights are 2^(logit - m + 6): times a grid's step they stay above the smallest normal half
/// where they matter, and below the largest even for the largest step, 65504 / 127.
inline constexpr float kWeightShift = 6.0f;

/// Sizes that depend on the head's.
template <int kHeadDim>
struct Sizes {
  static constexpr int kSteps = (kHeadDim + 31) / 32 * 2;  // of 16 channels; int4 takes two at once
  static constexpr int kPanels = kHeadDim / kLanes;
  static constexpr int kKeyGroup = int4_group(kHeadDim);
  static constexpr int kKeyGroups = kHeadDim / kKeyGroup;
  static constexpr int kMostGroups = kHeadDim / int2_group(kHeadDim);
};

/// Eight rows, of which a lane holds two columns of every result.
template <int kHeadDim>
struct Eight : Sizes<kHeadDim> {
  using Sizes<kHeadDim>::kSteps;
  using Sizes<kHeadDim>::kPanels;
  using Sizes<kHeadDim>::kKeyGroup;
  using Sizes<kHeadDim>::kKeyGroups;
  using Sizes<kHeadDim>::kMostGroups;

  Lane lane;
  const float* plain;  // queries of the lane's row
  const float* rotated;
  int first_row;
  int visible[2];  // 0 where there is no row

  float m[2] = {kNone, kNone};
  float l[2] = {0, 0};  // of the lane's own tokens
  float sums[kPanels][4] = {};

  // of the block at hand
  uint32_t b[kSteps][2];  // the queries
  float bias[2];          // added to every logit
  float group_sum[kKeyGroups][2];
  float mass[2];                // of the lane's own tokens
  float zeros[kMostGroups][2];  // weights times the grids' zero points, likewise

  /// Rows [in_tile, in_tile + 8) of a tile.
  template <typename Rows>
  __device__ void start(const AttendArguments& arguments, const Rows& queries, const RowTile& tile,
                        int in_tile) {
    const auto index = static_cast<int>(lane_index());
    lane = {index / 4, index % 4};
    plain = queries.plain[in_tile + lane.row];
    rotated = queries.rotated[in_tile + lane.row];
    first_row = tile.first_row + in_tile;
    for (int n = 0; n < 2; n++)
      visible[n] = in_tile + 2 * lane.pair + n < tile.rows
                       ? read(arguments.visible + query_of(arguments, n))
                       : 0;
  }

  __device__ int query_of(const AttendArguments& arguments, int column) const {
    return (first_row + 2 * lane.pair + column) / (arguments.heads / arguments.kv_heads);
  }
  __device__ int head_of(const AttendArguments& arguments, int kv_head, int column) const {
    const int group = arguments.heads / arguments.kv_heads;
    return kv_head * group + (first_row + 2 * lane.pair + column) % group;
  }

  /// Makes operand B of the block's queries, and what goes with it.
  __device__ void enter(const CopyView& copy, const std::byte* keys) {
    for (int n = 0; n < 2; n++) bias[n] = mass[n] = 0;
    for (int g = 0; g < kMostGroups; g++) zeros[g][0] = zeros[g][1] = 0;
    const Extent extent{kHeadDim, copy.capacity, copy.tokens};
    switch (copy.tier.k) {
      case Format::int8:
        fold_int8(keys, Int8Keys(extent));
        break;
      case Format::int4:
        fold_int4(keys, int4_layout(extent));
        break;
      default:
        plain_queries();
    }
  }

  __device__ static void pack(const float (&x)[4], uint32_t (&operand)[2]) {
    operand[0] = pack_halves(x[0], x[2]);
    operand[1] = pack_halves(x[1], x[3]);
  }

  __device__ void plain_queries() {
    for (int s = 0; s < kPanels; s++) {
      const float* q = plain + 16 * s + 4 * lane.pair;
      pack({q[0], q[1], q[2], q[3]}, b[s]);
    }
  }

  __device__ void fold_int8(const std::byte* keys, const Int8Keys& layout) {
    float sum = 0;
    for (int s = 0; s < kPanels; s++) {
      const int first = 16 * s + 4 * lane.pair;
      const float* q = plain + first;
      const FourFloats step = four_floats_at(halves_at(keys, layout.scale) + first);
      const FourFloats zero = four_floats_at(halves_at(keys, layout.zero) + first);
      float scaled[4];
      for (int c = 0; c < 4; c++) {
        scaled[c] = q[c] * step.of[c];
        sum += q[c] * (zero.of[c] + kMiddle<Format::int8> * step.of[c]);
      }
      pack(scaled, b[s]);
    }
    take_bias(sum);
  }

  __device__ void fold_int4(const std::byte* keys, const GroupedLayout& layout) {
    float sum = 0;
    for (int s = 0; s < kPanels; s++) {
      const int first = 16 * s + 4 * lane.pair;
      const float* q = plain + first;
      const FourFloats mean = four_floats_at(halves_at(keys, layout.mean) + first);
      for (int c = 0; c < 4; c++) sum += q[c] * mean.of[c];
    }
    take_bias(sum);
    for (int g = 0; g < kKeyGroups; g++) {
      float total = 0;
      for (int s = g * kKeyGroup / 16; s < (g + 1) * kKeyGroup / 16 + kSteps - kPanels; s++) {
        const int first = 8 * (s / 2 * 4 + lane.pair) + 4 * (s % 2);
        float x[4] = {};
        for (int c = 0; c < 4 && first < kHeadDim; c++) {
          x[c] = rotated[first + c];
          total += x[c];
        }
        pack(x, b[s]);
      }
      const float2 columns = columns_of(sum_of_pairs(total), lane);
      group_sum[g][0] = columns.x;
      group_sum[g][1] = columns.y;
    }
  }

  __device__ void take_bias(float sum) {
    const float2 columns = columns_of(sum_of_pairs(sum), lane);
    bias[0] = columns.x;
    bias[1] = columns.y;
  }

  /// The two columns of one token.
  __device__ void add_grid(float (&logits)[4], const float (&product)[4], float step, float zero,
                           int g, int first) {
    const float middle = zero + kMiddle<Format::int4> * step;
    for (int n = 0; n < 2; n++)
      logits[first + n] += step * product[first + n] + middle * group_sum[g][n];
  }

  /// The logits in whole, -infinity for tokens that are not seen.
  __device__ void complete(const AttendArguments& arguments, const CopyView& copy, int kv_head,
                           int tile, float key_step, float (&logits)[4]) const {
    const int first = tile * kLanes + 2 * lane.row;
    for (int i = 0; i < 4; i++) {
      const int n = i % 2, token = first + i / 2;
      const int seen =
          copy.positions != nullptr ? copy.tokens : min(int{copy.tokens}, visible[n] - copy.first);
      if (token >= (visible[n] == 0 ? 0 : seen)) {
        logits[i] = kNone;
        continue;
      }
      float logit = key_step * logits[i] + bias[n];
      if (arguments.softcap != 0.0f) {
        const float cap = arguments.softcap * kLog2E;
        logit = cap * tanhf(logit / cap);
      }
      if (arguments.mask != nullptr) {
        const int position = copy.positions != nullptr
                                 ? read(copy.positions + kv_head * copy.capacity + token)
                                 : copy.first + token;
        const float slope = arguments.slopes != nullptr
                                ? read(arguments.slopes + head_of(arguments, kv_head, n))
                                : 1.0f;
        logit += kLog2E * slope *
                 float_of(read(arguments.mask + query_of(arguments, n) * arguments.mask_stride +
                               position));
      }
      logits[i] = logit;
    }
  }

  /// Takes 16 tokens' logits into the state, and turns them into weights.
  __device__ void soften(float (&logits)[4]) {
    float rescale[2];
    bool grows = false;
    for (int n = 0; n < 2; n++) {
      const float most = fmaxf(m[n], largest_of_rows(fmaxf(logits[n], logits[n + 2])));
      grows |= most > m[n];
      rescale[n] = m[n] == kNone ? 0.0f : exp2_of(m[n] - most);
      m[n] = most;
    }
    if (any_lane(grows)) {
      for (int n = 0; n < 2; n++) {
        l[n] *= rescale[n];
        mass[n] *= rescale[n];
        for (int g = 0; g < kMostGroups; g++) zeros[g][n] *= rescale[n];
      }
      for (int p = 0; p < kPanels; p++)
        for (int i = 0; i < 4; i++) sums[p][i] *= rescale[i % 2];
    }
    for (int i = 0; i < 4; i++) {
      const float base = m[i % 2] == kNone ? 0.0f : m[i % 2] - kWeightShift;
      logits[i] = exp2_of(logits[i] - base);
      l[i % 2] += logits[i];
      mass[i % 2] += logits[i];
    }
  }

  /// Operand B of weights times a factor for each of the lane's tokens.
  __device__ static Four scaled(const float (&weights)[4], float2 step) {
    return {transpose(pack_halves(weights[0] * step.x, weights[1] * step.x)),
            transpose(pack_halves(weights[2] * step.y, weights[3] * step.y))};
  }

  /// Takes note of weights times the zero points of a group's grids.
  __device__ void add_zeros(int g, const float (&weights)[4], float2 zero) {
    for (int n = 0; n < 2; n++) zeros[g][n] += weights[n] * zero.x + weights[n + 2] * zero.y;
  }

  /// Adds what a block's weights give besides its products.
  __device__ void leave(const CopyView& copy, const std::byte* values) {
    if (copy.tier.v == Format::int4) return add_mean<kKeyGroup>(values);
    if (copy.tier.v == Format::int2) return add_mean<int2_group(kHeadDim)>(values);
  }

  template <int kGroup>
  __device__ void add_mean(const std::byte* values) {
    const uint16_t* mean = halves_at(values, 0);
    const float total[2] = {sum_of_rows(mass[0]), sum_of_rows(mass[1])};
    for (int g = 0; g < kHeadDim / kGroup; g++) {
      const float zero[2] = {sum_of_rows(zeros[g][0]), sum_of_rows(zeros[g][1])};
      for (int p = g * kGroup / kLanes; p < (g + 1) * kGroup / kLanes; p++) {
        const float2 of = two_floats_at(mean + p * kLanes + 2 * lane.row);
        for (int n = 0; n < 2; n++) {
          sums[p][n] += total[n] * of.x + zero[n];
          sums[p][n + 2] += total[n] * of.y + zero[n];
        }
      }
    }
  }
};

}  // namespace sightline::attention::cuda
