#pragma once
// What a sequence will take, before there is one.

#include <cstddef>
#include <cstdint>
#include <span>

#include "cache/policy.h"
#include "cache/schedule.h"

namespace sightline::cache {

/// Bytes that a sequence of `length` tokens holds between two steps. An upper bound where that
/// depends on the data: no token dropped, full rank.
size_t forecast_bytes(const Policy& policy, std::span<const Geometry> layers, int32_t length);

}  // namespace sightline::cache
