#pragma once
// What the host tells a kernel: plain data, the same on both sides. Pointers are to GPU memory.

#include <cstdint>

#include "attention/block.h"
#include "attention/format/format.h"

namespace sightline::attention::cuda {

/// The copy of a block that a tile of rows reads: one sector of memory.
struct alignas(32) CopyView {
  const std::byte* data;     // [kv_heads] parts; layout: panels.h
  const int32_t* positions;  // [kv_heads][capacity], or null: first, first + 1, ...
  int32_t first;             // position of the block's first token
  uint16_t part_lines;       // of one KV head, in kPartAlignment bytes
  uint16_t values_line;      // where the values start in a part
  int16_t capacity;
  int16_t tokens;
  Tier tier;  // not of lowrank keys: the kernels do not read them yet

  /// Of a block that starts at position `first`; the copy is in GPU memory.
  static CopyView of(const Copy& copy, int head_dim, int32_t first) {
    const Extent extent = copy.extent(head_dim);
    return {.data = copy.data,
            .positions = copy.positions,
            .first = first,
            .part_lines = static_cast<uint16_t>(part_bytes(copy.tier, extent) / kPartAlignment),
            .values_line = static_cast<uint16_t>(values_offset(copy.tier, extent) / kPartAlignment),
            .capacity = static_cast<int16_t>(copy.capacity),
            .tokens = static_cast<int16_t>(copy.tokens),
            .tier = copy.tier};
  }
};
static_assert(sizeof(CopyView) == 32);

/// Rows that read the same copies. Row r of a KV head is query r / group of the query head
/// kv_head * group + r % group.
struct RowTile {
  int32_t first_row;
  int32_t rows;        // at most AttendShared::kRows
  int32_t first_copy;  // in AttendArguments::copies
  int32_t copies;
};

/// Softmax is computed with powers of 2.
inline constexpr float kLog2E = 1.44269504f;

/// A row's softmax: the weight of a logit is 2^(logit - m), in units of ln 2, over l.
struct alignas(8) RowState {
  float m, l;
};

struct AttendArguments {
  const float* q;  // row of query i and head h: q + i * q_token_stride + h * q_head_stride
  int64_t q_token_stride;
  int64_t q_head_stride;
  float* out;  // [tokens][heads][head_dim]
  float scale;
  float softcap;           // 0: none
  const float* sinks;      // [heads], or null
  const float* slopes;     // [heads], or null: 1
  const int32_t* visible;  // [tokens]
  const uint16_t* mask;    // half [tokens][mask_stride], or null
  int64_t mask_stride;
  const CopyView* copies;
  const RowTile* tiles;
  // [tiles][kv_heads][splits] of AttendShared::kPartialFloats: [rows][head_dim] sums and [rows]
  // states; where splits > 1
  float* partials;
  int32_t* arrivals;  // [tiles][kv_heads], zero before and after, where splits > 1
  RowState* states;   // [tokens][heads] out, for `observe`; or null
  int32_t heads;
  int32_t kv_heads;
  int32_t rotates;  // some copy's keys are int4
};

}  // namespace sightline::attention::cuda
