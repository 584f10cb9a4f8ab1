#pragma once
// Which form the blocks of a sequence are held in: what the settings ask for, as plain data.
//
// The first `sink` tokens stay FP16. A block of kBlockTokens tokens after them starts at level 0,
// FP16, and goes up the policy's ladder of levels as the sequence grows; schedule.h says when.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attention/block.h"

namespace sightline::cache {

enum class PolicyKind : uint8_t {
  full,          // FP16 throughout
  selective,     // `tier` for what has left the window
  hierarchical,  // int8 for what has left the window, int4 for what has left the span
  compressed,    // what has left the window is dropped (StreamingLLM, arXiv 2309.17453)
  automatic,     // as much FP16, int8, k8v4, int4 as `budget` allows, the oldest lowest
  lowrank,       // keys by a product of two thin matrices, values in `tier.v`; experimental
  // Opt-in eviction: of a block that leaves the window only some tokens are kept, in `tier`;
  // select.h says which.
  h2o,
  attention,
  importance,
};

/// In place of the policy's formats, for every coded level of one layer; with fp16, that side stays
/// as it is.
struct LayerFormats {
  int32_t layer = 0;
  std::optional<attention::Format> k, v;
  bool operator==(const LayerFormats&) const = default;
};

/// What a token's importance is made of, each from 0 to 1.
struct Weights {
  float attention = 0.4f;  // received
  float recency = 0.3f;
  float kind = 0.3f;  // as the caller weighs the token's kind
  bool operator==(const Weights&) const = default;
};

inline constexpr int32_t kDefaultSink = 16;

struct Policy {
  PolicyKind kind = PolicyKind::full;
  int32_t sink = kDefaultSink;
  int32_t window = 0;  // tokens, the newest, that stay FP16
  attention::Tier tier = {attention::Format::int8, attention::Format::int8};
  int32_t span = 4096;     // hierarchical: tokens, the newest, in FP16 or int8
  size_t budget = 0;       // automatic: bytes; 0: no bound
  int32_t step = 512;      // automatic: most tokens appended in a step, for which room is left
  float keep = 0.5f;       // h2o, importance: share of a block's tokens
  float threshold = 0.1f;  // attention: share of the block's mean
  Weights weights = {};    // importance
  int32_t rank = 0;        // lowrank: of the keys; 0: the least that keeps the share `energy`
  float energy = 0.95f;    // lowrank: of the keys' squared norm
  std::vector<LayerFormats> layers = {};
  bool operator==(const Policy&) const = default;

  /// Whether tokens are chosen by the attention they received.
  bool needs_attention() const;
  /// Whether how a block is coded depends on more than the sequence's length: then it is decided
  /// between two steps, see `step_limit`.
  bool decides_from_data() const;

  /// The most tokens that a step from `length` on may append, so that it ends where the next block
  /// is decided about, at the latest.
  int32_t step_limit(int32_t length) const;
};

/// What a block is held in at a level; none: its tokens are dropped.
using Level = std::optional<attention::Tier>;

/// The levels from 0 on; 0 is FP16. At most Block::kMostCopies.
std::vector<Level> ladder(const Policy& policy);

/// The ladder of one layer.
std::vector<Level> ladder(const Policy& policy, int32_t layer);

/// The window for settings that give none: 256 where the lowest tier has 8 bits, 896 below that (as
/// many as keep 16 384 tokens in int4 at 5.2 bits an element, head size 128).
int32_t default_window(const Policy& policy);

/// What is wrong with a policy, as a sentence; none where nothing is.
std::optional<std::string> fault_of(const Policy& policy);

/// As settings spell them: the enumerators' names, and `auto`.
std::string_view name_of(PolicyKind kind);
std::optional<PolicyKind> policy_named(std::string_view name);

}  // namespace sightline::cache
