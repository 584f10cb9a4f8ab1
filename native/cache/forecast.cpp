#include "cache/forecast.h"

#include <algorithm>

#include "attention/format/format.h"

namespace sightline::cache {
namespace {

using attention::kBlockTokens;
using attention::kTokenGranule;

size_t layer_bytes(const std::vector<Level>& levels, const Schedule& schedule, Geometry geometry,
                   int32_t sink, int32_t length) {
  const auto parts = [&](attention::Tier tier, int32_t tokens) {
    const int32_t capacity = (tokens + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
    const int rank = tier.k == attention::Format::lowrank ? geometry.head_dim : 0;
    return attention::part_bytes(tier, {geometry.head_dim, capacity, tokens, rank}) *
           static_cast<size_t>(geometry.kv_heads);
  };
  size_t bytes = 0;
  for (int32_t at = 0; at < std::min(sink, length); at += kBlockTokens)
    bytes += parts({}, std::min(kBlockTokens, sink - at));
  for (int32_t block = 0; sink + block * kBlockTokens < length; block++) {
    size_t level = levels.size() - 1;
    while (level > 0 && schedule.from(block, static_cast<int32_t>(level)) > length) level--;
    if (levels[level]) bytes += parts(*levels[level], kBlockTokens);
  }
  return bytes;
}

}  // namespace

size_t forecast_bytes(const Policy& policy, std::span<const Geometry> layers, int32_t length) {
  const Schedule schedule(policy, layers);
  size_t bytes = 0;
  for (size_t i = 0; i < layers.size(); i++)
    if (layers[i] != Geometry{})
      bytes += layer_bytes(ladder(policy, static_cast<int32_t>(i)), schedule, layers[i],
                           policy.sink, length);
  return bytes;
}

}  // namespace sightline::cache
