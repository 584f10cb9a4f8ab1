#pragma once
// Parts on their way between the CPU's layouts (format/) and those of GPU memory (panels.h).

#include <cstddef>
#include <span>

#include "attention/block.h"

namespace sightline::attention::cuda {

/// Reorders one KV head's part in place: fp16 and fp8 elements become words of rows. Other formats
/// are the same on both sides.
void to_words(Tier tier, const Extent& extent, std::span<std::byte> part);
/// The inverse.
void from_words(Tier tier, const Extent& extent, std::span<std::byte> part);

}  // namespace sightline::attention::cuda
