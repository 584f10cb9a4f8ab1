#pragma once
// Blocks of the KV cache as attention reads them: the formats, the copies of a block, and which
// copy a query reads.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sightline::attention {

/// Tokens in a block of the cache.
inline constexpr int kBlockTokens = 128;

/// Room for tokens is a multiple of this, so that kernels may load whole vectors along the tokens.
inline constexpr int kTokenGranule = 16;

/// How elements are stored; the layouts are in format/. `int2` is for values only, `lowrank` for
/// keys only.
enum class Format : uint8_t { fp16, fp8, int8, int4, int2, lowrank };

/// The formats of a copy's keys and values.
struct Tier {
  Format k = Format::fp16;
  Format v = Format::fp16;
  bool operator==(const Tier&) const = default;
};

/// The size of one KV head's part of a copy.
struct Extent {
  int head_dim;
  int capacity;  // tokens there is room for, a multiple of kTokenGranule
  int tokens;    // tokens held; formats that code a block whole want all they will ever hold
  int rank = 0;  // of lowrank keys, a multiple of 4; else 0
};

/// The tokens of a block in one form. A KV head's part is its keys, then its values, each padded to
/// kPartAlignment bytes (format/format.h); the parts of a layer's KV heads follow one another.
struct Copy {
  const std::byte* data = nullptr;  // [kv_heads] parts; null: the tokens were dropped
  Tier tier;
  int16_t rank = 0;
  int32_t capacity = 0;
  int32_t tokens = 0;                  // fewer than the block's where some were dropped
  const int32_t* positions = nullptr;  // [kv_heads][capacity], or null: first, first + 1, ...
  int32_t from = 0;                    // read by queries that see at least this many tokens

  Extent extent(int head_dim) const { return {head_dim, capacity, tokens, rank}; }
};

/// A run of consecutive tokens of one layer. While it passes from one form to the next within a
/// batch it is there in several: each query reads the one it would read in token-by-token decoding.
struct Block {
  static constexpr int kMostCopies = 4;

  int32_t first = 0;   // position of its first token
  int32_t tokens = 0;  // positions it spans
  int32_t count = 0;   // copies there are, at least 1, in the order of `from`
  std::array<Copy, kMostCopies> copies;

  int32_t end() const { return first + tokens; }

  std::span<const Copy> held() const { return {copies.data(), static_cast<size_t>(count)}; }

  /// The copy for a query that sees `visible` tokens: the last one that is not for later queries,
  /// or the first where all are.
  const Copy& copy(int32_t visible) const {
    size_t index = static_cast<size_t>(count) - 1;
    while (index > 0 && copies[index].from > visible) index--;
    return copies[index];
  }
};

/// Position of the `index`-th token that a copy holds for a KV head.
inline int32_t position_of(const Block& block, const Copy& copy, int kv_head, int index) {
  return copy.positions == nullptr ? block.first + index
                                   : copy.positions[kv_head * copy.capacity + index];
}

}  // namespace sightline::attention
