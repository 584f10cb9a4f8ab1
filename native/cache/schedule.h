#pragma once
// When a block passes from level to level: a pure function of the policy, the layers' sizes, and
// the sequence's length.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "attention/block.h"
#include "cache/policy.h"

namespace sightline::cache {

/// What a layer stores per token: keys and values of kv_heads * head_dim elements each.
struct Geometry {
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  bool operator==(const Geometry&) const = default;
};

/// Bytes of one token's keys and values in FP16.
inline size_t fp16_token_bytes(Geometry geometry) {
  return 2 * sizeof(uint16_t) * static_cast<size_t>(geometry.kv_heads) *
         static_cast<size_t>(geometry.head_dim);
}

/// Bytes of a copy's parts for all KV heads, and of the positions that follow them where tokens
/// were dropped.
size_t parts_bytes(Geometry geometry, const attention::Copy& copy);
size_t positions_bytes(Geometry geometry, const attention::Copy& copy);

/// Bytes of the slot that a copy lies in.
inline size_t slot_bytes(Geometry geometry, const attention::Copy& copy) {
  return parts_bytes(geometry, copy) +
         (copy.positions == nullptr ? 0 : positions_bytes(geometry, copy));
}

class Schedule {
 public:
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

  /// `layers`: those without KV heads are not ours.
  Schedule(const Policy& policy, std::span<const Geometry> layers);

  /// Queries that see at least this many tokens read block `index`, counted from the end of the
  /// sink, at `level` or above. Grows with index and level.
  ///
  /// automatic: with N blocks out of the window the m oldest are at level l and the others one
  /// below it, for the least (l, m) whose bytes fit the budget. Fixed bytes F (sink, window, one
  /// step) and B(l) of a block at level l give: block i is at level l or above from the least
  /// N > i with F + N B(l - 1) - budget > i (B(l - 1) - B(l)).
  int32_t from(int32_t index, int32_t level) const;

 private:
  int32_t passed_window(int64_t blocks) const;

  PolicyKind kind_;
  int64_t base_;  // sink and window
  int64_t span_;  // sink and span
  bool decides_from_data_;
  int64_t spare_;               // automatic: budget - F; no bound: the largest
  std::vector<int64_t> bytes_;  // automatic: B
};

}  // namespace sightline::cache
