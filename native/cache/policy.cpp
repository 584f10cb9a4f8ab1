#include "cache/policy.h"

#include <algorithm>
#include <limits>
#include <set>

#include "attention/format/format.h"

namespace sightline::cache {

using attention::Format;
using attention::kBlockTokens;
using attention::Tier;

namespace {

constexpr Tier kFp16{Format::fp16, Format::fp16};
constexpr Tier kInt8{Format::int8, Format::int8};
constexpr Tier kInt8Int4{Format::int8, Format::int4};
constexpr Tier kInt4{Format::int4, Format::int4};

constexpr int32_t kMostSink = 1 << 16;
constexpr int32_t kMostWindow = 1 << 24;
constexpr int32_t kMostRank = 1024;

struct Name {
  PolicyKind kind;
  std::string_view name;
};

constexpr Name kNames[] = {
    {PolicyKind::full, "full"},
    {PolicyKind::selective, "selective"},
    {PolicyKind::hierarchical, "hierarchical"},
    {PolicyKind::compressed, "compressed"},
    {PolicyKind::automatic, "auto"},
    {PolicyKind::lowrank, "lowrank"},
    {PolicyKind::h2o, "h2o"},
    {PolicyKind::attention, "attention"},
    {PolicyKind::importance, "importance"},
};

/// Whether coding keeps 8 bits or more of every element.
bool is_fine(const Level& level) {
  const auto fine = [](Format format) {
    return format == Format::fp16 || format == Format::fp8 || format == Format::int8;
  };
  return level.has_value() && fine(level->k) && fine(level->v);
}

bool is_within(double value, double low, double high) { return low <= value && value <= high; }

std::optional<std::string> fault_of_lowrank(const Policy& policy) {
  if (policy.rank < 0 || policy.rank > kMostRank || policy.rank % 4 != 0)
    return "The rank must be a multiple of 4 up to 1024, or 0.";
  if (policy.rank == 0 && !(policy.energy > 0 && policy.energy <= 1))
    return "The energy must be above 0 and at most 1.";
  if (policy.tier.v != Format::int8 && policy.tier.v != Format::int4)
    return "Values beside low-rank keys must be int8 or int4.";
  return std::nullopt;
}

std::optional<std::string> fault_of_selection(const Policy& policy) {
  if (policy.kind == PolicyKind::attention) {
    // Above 1 a block of equals would lose every token.
    if (!(policy.threshold > 0 && policy.threshold <= 1))
      return "The threshold must be above 0 and at most 1.";
    return std::nullopt;
  }
  if (!(policy.keep > 0 && policy.keep <= 1))
    return "The share of tokens to keep must be above 0 and at most 1.";
  const Weights& w = policy.weights;
  const bool weighs = is_within(w.attention, 0, 1) && is_within(w.recency, 0, 1) &&
                      is_within(w.kind, 0, 1) && w.attention + w.recency + w.kind > 0;
  if (policy.kind == PolicyKind::importance && !weighs)
    return "The weights of importance must be from 0 to 1 and not all 0.";
  return std::nullopt;
}

std::optional<std::string> fault_of_layers(const Policy& policy) {
  std::set<int32_t> seen;
  for (const LayerFormats& formats : policy.layers) {
    const std::string layer = "layer " + std::to_string(formats.layer);
    if (formats.layer < 0) return "There is no " + layer + ".";
    if (!seen.insert(formats.layer).second) return "Formats for " + layer + " are given twice.";
    if (formats.k && (!attention::stores_keys(*formats.k) || *formats.k == Format::lowrank))
      return "Keys of " + layer + " cannot be stored as " +
             std::string(attention::name_of(*formats.k)) + ".";
    if (formats.v && !attention::stores_values(*formats.v))
      return "Values of " + layer + " cannot be stored as " +
             std::string(attention::name_of(*formats.v)) + ".";
  }
  return std::nullopt;
}

}  // namespace

bool Policy::needs_attention() const {
  return kind == PolicyKind::h2o || kind == PolicyKind::attention || kind == PolicyKind::importance;
}

bool Policy::decides_from_data() const {
  return needs_attention() || (kind == PolicyKind::lowrank && rank == 0);
}

int32_t Policy::step_limit(int32_t length) const {
  if (!decides_from_data()) return std::numeric_limits<int32_t>::max();
  const int32_t past = length - sink - window;
  return past < 0 ? kBlockTokens - past : kBlockTokens - past % kBlockTokens;
}

std::vector<Level> ladder(const Policy& policy) {
  switch (policy.kind) {
    case PolicyKind::full:
      return {kFp16};
    case PolicyKind::hierarchical:
      return {kFp16, kInt8, kInt4};
    case PolicyKind::compressed:
      return {kFp16, std::nullopt};
    case PolicyKind::automatic:
      return {kFp16, kInt8, kInt8Int4, kInt4};
    case PolicyKind::lowrank:
      return {kFp16, Tier{Format::lowrank, policy.tier.v}};
    case PolicyKind::selective:
    case PolicyKind::h2o:
    case PolicyKind::attention:
    case PolicyKind::importance:
      break;
  }
  return {kFp16, policy.tier};
}

std::vector<Level> ladder(const Policy& policy, int32_t layer) {
  std::vector<Level> levels = ladder(policy);
  const auto own =
      std::find_if(policy.layers.begin(), policy.layers.end(),
                   [&](const LayerFormats& formats) { return formats.layer == layer; });
  if (own == policy.layers.end()) return levels;
  for (size_t level = 1; level < levels.size(); level++) {
    if (!levels[level]) continue;
    levels[level]->k = own->k.value_or(levels[level]->k);
    levels[level]->v = own->v.value_or(levels[level]->v);
  }
  return levels;
}

int32_t default_window(const Policy& policy) { return is_fine(ladder(policy).back()) ? 256 : 896; }

std::optional<std::string> fault_of(const Policy& policy) {
  if (!is_within(policy.sink, 0, kMostSink))
    return "The sink must have from 0 to " + std::to_string(kMostSink) + " tokens.";
  if (!is_within(policy.window, 0, kMostWindow))
    return "The window must have from 0 to " + std::to_string(kMostWindow) + " tokens.";
  if (policy.kind == PolicyKind::hierarchical &&
      !is_within(policy.span, policy.window, kMostWindow))
    return "The span must have from the window's tokens to " + std::to_string(kMostWindow) + ".";
  if (policy.kind == PolicyKind::automatic && !is_within(policy.step, 1, kMostWindow))
    return "A step must have from 1 to " + std::to_string(kMostWindow) + " tokens.";
  if (!attention::stores_keys(policy.tier.k) || policy.tier.k == Format::lowrank)
    return "Keys cannot be stored as " + std::string(attention::name_of(policy.tier.k)) + ".";
  if (!attention::stores_values(policy.tier.v))
    return "Values cannot be stored as " + std::string(attention::name_of(policy.tier.v)) + ".";
  if (policy.kind == PolicyKind::lowrank)
    if (auto fault = fault_of_lowrank(policy)) return fault;
  if (policy.needs_attention())
    if (auto fault = fault_of_selection(policy)) return fault;
  return fault_of_layers(policy);
}

std::string_view name_of(PolicyKind kind) {
  const auto row = std::find_if(std::begin(kNames), std::end(kNames),
                                [&](const Name& candidate) { return candidate.kind == kind; });
  return row->name;
}

std::optional<PolicyKind> policy_named(std::string_view name) {
  const auto row = std::find_if(std::begin(kNames), std::end(kNames),
                                [&](const Name& candidate) { return candidate.name == name; });
  return row == std::end(kNames) ? std::nullopt : std::optional(row->kind);
}

}  // namespace sightline::cache
