#pragma once
// Which tokens of a block that leaves the window are kept by the policies that evict.
//
// Every token is decided about once, within its block, and every block gives up its share. The
// papers choose anew at every step, among all tokens, under one budget for the sequence; deciding
// once is what makes the state a function of the tokens alone, and blocks whole.

#include <cstdint>
#include <span>
#include <vector>

#include "cache/policy.h"

namespace sightline::cache {

/// Of tokens whose kind the caller has not weighed.
inline constexpr float kDefaultKindWeight = 0.5f;

/// The tokens kept, the same number for every KV head: a multiple of kTokenGranule.
struct Selection {
  int32_t count;
  std::vector<int32_t> tokens;  // [kv_heads][count], ascending, counted from the block's first
};

/// `mass`: attention that the block's tokens have received so far, [kv_heads][kBlockTokens].
/// `kind_weights`: [kBlockTokens].
///
/// h2o        the share `keep` with the most attention, accumulated over the queries that saw the
///            tokens (heavy hitters, arXiv 2306.14048). Recent tokens are the window's.
/// attention  those with at least `threshold` times the mean of the block, as many for every KV
///            head as the one with the most asks for.
/// importance the share `keep` with the largest weighted sum of: attention over the block's
///            largest; recency, which rises from 0 to 1 through the block; the token's kind.
///
/// Of equals the newer is kept.
Selection select(const Policy& policy, std::span<const float> mass,
                 std::span<const float> kind_weights);

}  // namespace sightline::cache
