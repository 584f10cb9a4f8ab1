#pragma once
// Which format a token of the cache is held in, as a function of the sequence's length.

#include <cstdint>

#include "attention/block.h"

namespace sightline::cache {

enum class PolicyKind : uint8_t { full, selective };

/// `full`: FP16 throughout. `selective`: the first `sink` and the last `window` tokens are FP16;
/// blocks of kBlockTokens in between are int8, each from when its last token leaves the window.
struct Policy {
  PolicyKind kind;
  int32_t sink;    // full: 0
  int32_t window;  // full: ignored

  /// How many blocks, counted from the end of the sink, are int8 once a sequence has `length`
  /// tokens. Depends on nothing else, so neither does what a token attends to.
  constexpr int32_t coded_blocks(int32_t length) const {
    const int32_t old = length - sink - window;
    return kind == PolicyKind::full || old < 0 ? 0 : old / attention::kBlockTokens;
  }

  /// The length from which block `index` is int8.
  constexpr int32_t coded_from(int32_t index) const {
    return sink + window + (index + 1) * attention::kBlockTokens;
  }
};

}  // namespace sightline::cache
