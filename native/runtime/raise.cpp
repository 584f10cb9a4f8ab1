#include "runtime/raise.h"

#include <algorithm>

#include "attention/format/format.h"

namespace sightline::runtime {
namespace {

using attention::Format;
using attention::Tier;

constexpr Tier kFp16{Format::fp16, Format::fp16};

bool is_fine(Format format) { return format == Format::fp16 || format == Format::int8; }

cache::LayerFormats& formats_of(cache::Policy& policy, int32_t layer) {
  const auto known =
      std::find_if(policy.layers.begin(), policy.layers.end(),
                   [&](const cache::LayerFormats& formats) { return formats.layer == layer; });
  if (known != policy.layers.end()) return *known;
  return policy.layers.emplace_back(cache::LayerFormats{layer, {}, {}});
}

/// What a layer's old tokens are held in, the worst over the levels.
Tier lowest_of(const cache::Policy& policy, int32_t layer) {
  Tier lowest = kFp16;
  for (const cache::Level& level : cache::ladder(policy, layer))
    if (level) lowest = *level;
  return lowest;
}

}  // namespace

std::optional<Tier> coarsest_tier(const cache::Policy& policy, int32_t layers) {
  constexpr attention::Extent kBlock{128, attention::kBlockTokens, attention::kBlockTokens, 64};
  Tier coarsest = kFp16;
  for (int32_t layer = 0; layer < layers; layer++) {
    const Tier tier = lowest_of(policy, layer);
    if (attention::part_bytes(tier, kBlock) < attention::part_bytes(coarsest, kBlock))
      coarsest = tier;
  }
  return coarsest == kFp16 ? std::nullopt : std::optional(coarsest);
}

cache::Policy with_fine_keys(const cache::Policy& policy, std::span<const int32_t> layers) {
  cache::Policy fine = policy;
  for (const int32_t layer : layers)
    if (!is_fine(lowest_of(policy, layer).k)) formats_of(fine, layer).k = Format::int8;
  return fine;
}

std::optional<cache::Policy> raised(const cache::Policy& policy, int32_t layers) {
  const auto tier = coarsest_tier(policy, layers);
  if (!tier) return std::nullopt;
  Tier more = kFp16;
  if (!is_fine(tier->k)) {
    more = {Format::int8, tier->v};
  } else if (!is_fine(tier->v)) {
    more = {Format::int8, Format::int8};
  }

  cache::Policy finer = policy;
  if (policy.kind == cache::PolicyKind::lowrank) finer.kind = cache::PolicyKind::selective;
  finer.tier = more;
  const bool has_one_tier = cache::ladder(finer).back() == cache::Level(more);
  for (int32_t layer = 0; layer < layers; layer++) {
    if (has_one_tier && finer.layers.empty()) break;
    const Tier held = lowest_of(finer, layer);
    cache::LayerFormats& formats = formats_of(finer, layer);
    if (more == kFp16 || !is_fine(held.k)) formats.k = more.k;
    if (more == kFp16 || (is_fine(more.v) && !is_fine(held.v))) formats.v = more.v;
  }
  return finer;
}

cache::Policy strict(const cache::Policy& policy) {
  cache::Policy all = policy;
  all.window = 0;
  if (policy.kind != cache::PolicyKind::lowrank) {
    all.kind = cache::PolicyKind::selective;
    constexpr int32_t kNoLayer = -1;  // has no formats of its own
    all.tier = lowest_of(policy, kNoLayer);
  }
  return all;
}

}  // namespace sightline::runtime
