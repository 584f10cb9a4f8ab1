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

#include "attention/cuda/attend.h"
#include "attention/cuda/device.h"
#include "attention/cuda/feed.h"
#include "attention/cuda/panels.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"
#include "attention/format/rotation.h"

namespace sightline::attention::cuda {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kNone = -std::numeric_limits<float>::infinity();

/// Weights are 2^(logit - m + 6): times a grid's step they stay above the smallest normal half
/// where they matter, and below the largest even for the largest step, 65504 / 127.
constexpr float kWeightShift = 6.0f;

/// Where a lane stands in fragments: operand rows `row` and row + 8, columns 2 * pair and 2 * pair
/// + 1 of a result.
struct Lane {
  unsigned index;
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

/// The tile's queries in shared memory, in units of ln 2, zeros where there is no row.
template <int kHeadDim, typename Mode>
struct Queries {
  using Shared = AttendShared<kHeadDim, Mode>;
  using Row = float[Shared::kQueryStride];
  Row plain[Shared::kRows];
  Row rotated[Shared::kRows];  // where some block's keys are int4
};

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
    const unsigned index = lane_index();
    lane = {index, static_cast<int>(index / 4), static_cast<int>(index % 4)};
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
    const Extent extent{kHeadDim, copy.capacity, copy.tokens, copy.rank};
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
          copy.positions != nullptr ? copy.tokens : min(copy.tokens, visible[n] - copy.first);
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

/// One warp's rows, and the products that its lanes make together.
template <int kHeadDim, typename Mode>
struct Warp : Sizes<kHeadDim> {
  using Sizes<kHeadDim>::kSteps;
  using Sizes<kHeadDim>::kPanels;
  using Sizes<kHeadDim>::kKeyGroup;
  using Sizes<kHeadDim>::kKeyGroups;
  using Feed = cuda::Feed<kHeadDim, Mode>;
  static constexpr int kEights = Mode::template kEights<kHeadDim>;

  /// Of 16 tokens, for every eight.
  using Logits = float[kEights][4];

  Eight<kHeadDim> eights[kEights];
  // of the block at hand
  float key_step;    // of fp8 keys, else 1
  float value_step;  // of fp8 values

  __device__ const Lane& lane() const { return eights[0].lane; }

  __device__ void enter(const CopyView& copy, const std::byte* keys) {
    const size_t fp8_step = area(kHeadDim, copy.capacity);
    key_step = copy.tier.k == Format::fp8 ? float_of(read(halves_at(keys, fp8_step))) : 1.0f;
    if (copy.tier.v == Format::fp8)
      value_step = float_of(read(halves_at(keys + copy.values_offset, fp8_step)));
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) eights[n].enter(copy, keys);
  }

  /// The logits of 16 tokens, of whose keys `entry` holds a part.
  __device__ void multiply_keys(const CopyView& copy, const Entry& entry, Logits& logits) {
    switch (copy.tier.k) {
      case Format::int8:
        return multiply_bytes<Format::int8>(entry, logits);
      case Format::fp8:
        return multiply_bytes<Format::fp8>(entry, logits);
      case Format::int4:
        return multiply_int4(entry, logits);
      default:
        return multiply_halves(entry, logits);
    }
  }

  __device__ void multiply(const uint32_t (&a)[4], int step, Logits& logits) {
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) multiply_add(logits[n], a, eights[n].b[step]);
  }

  __device__ void multiply_halves(const Entry& entry, Logits& logits) {
    constexpr int kHalf = Feed::kSlices;
    if (entry.part == 0) {
      for (int s = 0; s < kHalf; s++) multiply_half(entry, s, s, logits);
    } else {
      for (int s = kHalf; s < kPanels; s++) multiply_half(entry, s, s - kHalf, logits);
    }
  }
  __device__ void multiply_half(const Entry& entry, int step, int slice, Logits& logits) {
    uint32_t a[4];
    load_halves(entry.words, 8 * slice, 2 * lane().pair, lane().row, a);
    multiply(a, step, logits);
  }

  template <Format kFormat>
  __device__ void multiply_bytes(const Entry& entry, Logits& logits) {
    for (int s = 0; s < kPanels; s++) {
      uint32_t a[4];
      load_codes<kFormat>(entry.words, 4 * s, lane().pair, 0, lane().row, a);
      multiply(a, s, logits);
    }
  }

  __device__ void multiply_int4(const Entry& entry, Logits& logits) {
    for (int g = 0; g < kKeyGroups; g++) {
      Logits products = {};
      for (int s = g * kKeyGroup / 16; s < (g + 1) * kKeyGroup / 16 + kSteps - kPanels; s++) {
        uint32_t a[4];
        load_codes<Format::int4>(entry.words, s / 2 * 4, lane().pair, s % 2, lane().row, a);
        multiply(a, s, products);
      }
      const float2 step = floats_of(entry.grid(2 * g, lane().row));
      const float2 zero = floats_of(entry.grid(2 * g + 1, lane().row));
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) {
        eights[n].add_grid(logits[n], products[n], step.x, zero.x, g, 0);
        eights[n].add_grid(logits[n], products[n], step.y, zero.y, g, 2);
      }
    }
  }

  /// Adds the values of 16 tokens times their weights.
  __device__ void multiply_values(const CopyView& copy, const Entry& entry, const Logits& weights) {
    switch (copy.tier.v) {
      case Format::int8:
        return multiply_panels<Format::int8>(entry, 0, kPanels, weights,
                                             floats_of(entry.grid(0, lane().row)));
      case Format::fp8:
        return multiply_panels<Format::fp8>(entry, 0, kPanels, weights, {value_step, value_step});
      case Format::int4:
        return multiply_groups<Format::int4, kKeyGroup>(entry, weights);
      case Format::int2:
        return multiply_groups<Format::int2, int2_group(kHeadDim)>(entry, weights);
      default: {
        constexpr int kHalf = Feed::kSlices;
        if (entry.part == 0)
          multiply_panels<Format::fp16>(entry, 0, kHalf, weights, {1, 1});
        else
          multiply_panels<Format::fp16>(entry, kHalf, kPanels, weights, {1, 1}, kHalf);
      }
    }
  }

  template <Format kFormat, int kGroup>
  __device__ void multiply_groups(const Entry& entry, const Logits& weights) {
    for (int g = 0; g < kHeadDim / kGroup; g++) {
      const float2 step = floats_of(entry.grid(2 * g, lane().row));
      const float2 zero = floats_of(entry.grid(2 * g + 1, lane().row));
      const float2 middle = {zero.x + kMiddle<kFormat> * step.x,
                             zero.y + kMiddle<kFormat> * step.y};
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) eights[n].add_zeros(g, weights[n], middle);
      multiply_panels<kFormat>(entry, g * kGroup / kLanes, (g + 1) * kGroup / kLanes, weights,
                               step);
    }
  }

  /// Panels [first, last) of the values, in steps of the tokens' grids; the entry holds those from
  /// `held` on.
  template <Format kFormat>
  __device__ void multiply_panels(const Entry& entry, int first, int last, const Logits& weights,
                                  float2 step, int held = 0) {
    constexpr int kBits = bits_of(kFormat);
    constexpr int kRows = kBits / 2;  // of words in a panel of 16 tokens
    uint32_t operands[kEights][2];
    SIGHTLINE_UNROLLED
    for (int n = 0; n < kEights; n++) {
      const Four four = Eight<kHeadDim>::scaled(weights[n], step);
      operands[n][0] = four.even;
      operands[n][1] = four.odd;
    }
    for (int p = first; p < last; p++) {
      const int at = (p - held) * kRows;
      const int row = lane().pair * kBits / 8;
      uint32_t a[4];
      if constexpr (kFormat == Format::fp16)
        load_halves(entry.words, at, row, lane().row, a);
      else
        load_codes<kFormat>(entry.words, at, row, lane().pair % (8 / kBits), lane().row, a);
      SIGHTLINE_UNROLLED
      for (int n = 0; n < kEights; n++) multiply_add(eights[n].sums[p], a, operands[n]);
    }
  }
};

/// A row's softmax state: weights are relative to 2^m.
struct alignas(8) RowState {
  float m, l;
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

/// Rotates all rows at once.
template <int kHeadDim, typename Mode>
__device__ void rotate_rows(typename Queries<kHeadDim, Mode>::Row* rows, int thread) {
  constexpr int kRows = AttendShared<kHeadDim, Mode>::kRows;
  constexpr int kTogether = rotated_together(kHeadDim);
  constexpr int kPairs = kRows * kHeadDim / 2;
  for (int half = 1; half < kTogether; half *= 2) {
    for (int i = thread; i < kPairs; i += kAttendThreads) {
      float* row = rows[i / (kHeadDim / 2)];
      const int pair = i % (kHeadDim / 2);
      const int at = pair / half * 2 * half + pair % half;
      const float a = row[at], b = row[at + half];
      row[at] = a + b;
      row[at + half] = a - b;
    }
    sync_block();
  }
  const float norm = 1.0f / sqrtf(static_cast<float>(kTogether));
  for (int i = thread; i < kRows * kHeadDim; i += kAttendThreads)
    rows[i / kHeadDim][i % kHeadDim] *= norm;
  sync_block();
}

/// Writes one row's output.
template <int kHeadDim>
__device__ void finish(const AttendArguments& arguments, const RowTile& tile, int kv_head, int row,
                       int channel, RowState state, float sum) {
  if (row >= tile.rows) return;
  const int group = arguments.heads / arguments.kv_heads;
  const int at = tile.first_row + row;
  const int head = kv_head * group + at % group;
  if (arguments.sinks != nullptr) {
    const float sink = kLog2E * read(arguments.sinks + head);
    const float most = fmaxf(state.m, sink);
    const float keep = exp2_of(state.m - most);
    sum *= keep;
    state.l = state.l * keep + exp2_of(sink - most);
  }
  const int64_t query = at / group;
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
  if (arguments.rotates) rotate_rows<kHeadDim, Mode>(queries.rotated, thread);

  Warp<kHeadDim, Mode> state;
  const int own_rows = Mode::kSharesRows ? 0 : warp * Shared::kWarpRows;
  SIGHTLINE_UNROLLED
  for (int n = 0; n < kEights; n++)
    state.eights[n].start(arguments, queries, tile, own_rows + n * kEight);
  for (int block = first; block < last; block += kStep) {
    const CopyView copy = read(copies + block);
    if (copy.tokens == 0) continue;
    const std::byte* part = feed.part(copy, kv_head);
    state.enter(copy, part);
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
    for (int n = 0; n < kEights; n++) state.eights[n].leave(copy, part + copy.values_offset);
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
  for (int i = thread; i < kElements; i += kAttendThreads) {
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
  if (*before != splits - 1) return;
  for (int i = thread; i < kElements; i += kAttendThreads) {
    const int row = i / kHeadDim, channel = i % kHeadDim;
    const auto merged = merge(
        splits,
        [&](int s) {
          return read_fresh(states_in<Shared, kHeadDim>(partials + s * Shared::kPartialFloats) +
                            row);
        },
        [&](int s) { return read_fresh(partials + s * Shared::kPartialFloats + i); });
    finish<kHeadDim>(arguments, tile, kv_head, row, channel, merged.state, merged.sum);
  }
  if (thread == 0) write(arguments.arrivals + group_index, 0);
}

}  // namespace

#define SIGHTLINE_ATTEND(head_dim, decode_blocks, prefill_blocks)                         \
  SIGHTLINE_KERNEL(decode_##head_dim, kAttendThreads, decode_blocks, AttendArguments) {   \
    attend<head_dim, Decode>(arguments);                                                  \
  }                                                                                       \
  SIGHTLINE_KERNEL(prefill_##head_dim, kAttendThreads, prefill_blocks, AttendArguments) { \
    attend<head_dim, Prefill>(arguments);                                                 \
  }
SIGHTLINE_ATTEND(64, 4, 3)
SIGHTLINE_ATTEND(80, 4, 2)
SIGHTLINE_ATTEND(96, 3, 2)
SIGHTLINE_ATTEND(128, 3, 2)
SIGHTLINE_ATTEND(256, 2, 2)

}  // namespace sightline::attention::cuda
