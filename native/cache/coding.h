#pragma once
// From one copy of a block to the next.

#include <cstdint>
#include <span>

#include "attention/block.h"
#include "cache/schedule.h"

namespace sightline::cache {

enum class Side : uint8_t { keys, values };

/// Where a KV head's keys (values) start in a copy.
const std::byte* side_of(Geometry geometry, const attention::Copy& copy, Side side,
                         int32_t kv_head);

/// A KV head's keys (values) of a copy as the fp16 format stores them, [head_dim * capacity].
void decode(Geometry geometry, const attention::Copy& copy, Side side, int32_t kv_head,
            uint16_t* halves);

/// Codes a KV head's keys (values) of a copy into another: from what the first decodes to, or byte
/// for byte where the form is the same. Where the second holds fewer tokens, its positions say
/// which, `first` being the block's.
void recode(Geometry geometry, int32_t first, const attention::Copy& from,
            const attention::Copy& to, Side side, int32_t kv_head);

/// The rank, a multiple of 4, that keeps the share `energy` of every KV head's keys.
int32_t rank_for(Geometry geometry, const attention::Copy& copy, float energy);

}  // namespace sightline::cache
