#include "cache/schedule.h"

#include <algorithm>

#include "attention/format/format.h"

namespace sightline::cache {

using attention::Copy;
using attention::kBlockTokens;
using attention::kTokenGranule;

namespace {

constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max();

constexpr int64_t divided_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

int64_t fp16_bytes(Geometry geometry, int64_t tokens) {
  return tokens * static_cast<int64_t>(fp16_token_bytes(geometry));
}

}  // namespace

size_t parts_bytes(Geometry geometry, const Copy& copy) {
  if (copy.capacity == 0) return 0;
  return attention::part_bytes(copy.tier, copy.extent(geometry.head_dim)) *
         static_cast<size_t>(geometry.kv_heads);
}

size_t positions_bytes(Geometry geometry, const Copy& copy) {
  return sizeof(int32_t) * static_cast<size_t>(geometry.kv_heads) *
         static_cast<size_t>(copy.capacity);
}

Schedule::Schedule(const Policy& policy, std::span<const Geometry> layers)
    : kind_(policy.kind),
      base_(int64_t{policy.sink} + policy.window),
      span_(int64_t{policy.sink} + policy.span),
      decides_from_data_(policy.decides_from_data()),
      spare_(kNoBound) {
  if (kind_ != PolicyKind::automatic || policy.budget == 0) return;
  bytes_.resize(ladder(policy).size());
  int64_t fixed = 0;
  for (size_t i = 0; i < layers.size(); i++) {
    if (layers[i].kv_heads == 0) continue;
    const std::vector<Level> levels = ladder(policy, static_cast<int32_t>(i));
    for (size_t level = 0; level < levels.size(); level++) {
      Copy copy;
      copy.tier = *levels[level];
      copy.capacity = copy.tokens = kBlockTokens;
      bytes_[level] += static_cast<int64_t>(slot_bytes(layers[i], copy));
    }
    fixed += fp16_bytes(layers[i], divided_up(policy.sink, kTokenGranule) * kTokenGranule);
  }
  // Behind the blocks that have left the window there are at most window + 127 tokens; a step adds
  // its own, and holds the blocks that it codes in both forms.
  const int64_t step = divided_up(policy.step, kBlockTokens);
  const int64_t window = divided_up(int64_t{policy.window} + kBlockTokens - 1, kBlockTokens);
  fixed += (window + step) * bytes_[0];
  int64_t coded = 0;
  for (size_t level = 1; level < bytes_.size(); level++) {
    const int64_t gain = bytes_[level - 1] - bytes_[level];
    if (gain <= 0) continue;
    coded = std::max(coded, (divided_up(step * bytes_[level - 1], gain) + 1) * bytes_[level]);
  }
  spare_ = static_cast<int64_t>(std::min<size_t>(policy.budget, kNoBound / 2)) - fixed - coded;
}

/// The length at which so many blocks behind the sink have left the window.
int32_t Schedule::passed_window(int64_t blocks) const {
  return static_cast<int32_t>(std::min<int64_t>(base_ + blocks * kBlockTokens, kNever));
}

int32_t Schedule::from(int32_t index, int32_t level) const {
  if (level == 0) return 0;
  const int64_t left = int64_t{index} + 1;
  switch (kind_) {
    case PolicyKind::full:
      return kNever;
    case PolicyKind::hierarchical:
      if (level == 2)
        return static_cast<int32_t>(std::min<int64_t>(span_ + left * kBlockTokens, kNever));
      break;
    case PolicyKind::automatic: {
      if (spare_ == kNoBound || bytes_[0] == 0) return kNever;
      const int64_t above = bytes_[static_cast<size_t>(level) - 1];
      const int64_t gain = above - bytes_[static_cast<size_t>(level)];
      const int64_t room = spare_ + index * gain;
      return passed_window(room < 0 ? left : std::max(left, room / above + 1));
    }
    default:
      break;
  }
  // Decided about between the step that ends there and the next one.
  return passed_window(left) + (decides_from_data_ ? 1 : 0);
}

}  // namespace sightline::cache
