#pragma once
// Policies with more bits: what the guards at load make of one.

#include <cstdint>
#include <optional>
#include <span>

#include "cache/policy.h"

namespace sightline::runtime {

/// The coarsest tier that the policy holds old tokens in, over the model's layers; nothing where it
/// quantises none.
std::optional<attention::Tier> coarsest_tier(const cache::Policy& policy, int32_t layers);

/// The policy with int8 keys in these layers where it has fewer bits there.
cache::Policy with_fine_keys(const cache::Policy& policy, std::span<const int32_t> layers);

/// The policy with more bits in every layer: first int8 keys, then int8 throughout, then FP16.
/// Nothing where it is FP16 already.
std::optional<cache::Policy> raised(const cache::Policy& policy, int32_t layers);

/// A policy that holds every token but the sink as `policy` holds old ones, and drops none: so that
/// a short text shows what quantisation costs.
cache::Policy strict(const cache::Policy& policy);

}  // namespace sightline::runtime
