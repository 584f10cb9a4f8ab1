#pragma once
// Blocks of the KV cache as attention reads them: formats, layouts, and which copy a query reads.

#include <cstddef>
#include <cstdint>

namespace sightline::attention {

/// Tokens in a block of the cache.
inline constexpr int kBlockTokens = 128;

/// Room for tokens is a multiple of this, so that kernels may load whole vectors along the tokens.
inline constexpr int kTokenGranule = 16;

enum class Format : uint8_t { fp16, int8 };

// Layout of one KV head's part of a block with room for `capacity` tokens.
//
//   fp16:  K  half  [head_dim][capacity]     channel-major: a vector holds one channel of many
//   tokens
//          V  half  [capacity][head_dim]
//   int8:  K  uint8 [head_dim][capacity]     k = zero[c] + scale[c] * q      (per channel,
//   asymmetric)
//          V  int8  [capacity][head_dim]     v = scale[t] * q                (per token, symmetric)
//          K scale, K zero  half [head_dim] each;  V scale  half [capacity]
//
// A block stores the parts of a layer's KV heads one after another.

struct Fp16Layout {
  size_t k, v, bytes;  // offsets of K and V; size of the part

  constexpr Fp16Layout(int head_dim, int capacity)
      : k(0),
        v(sizeof(uint16_t) * static_cast<size_t>(head_dim) * static_cast<size_t>(capacity)),
        bytes(2 * v) {}
};

struct Int8Layout {
  size_t k, v, k_scale, k_zero, v_scale, bytes;

  constexpr Int8Layout(int head_dim, int capacity)
      : k(0),
        v(static_cast<size_t>(head_dim) * static_cast<size_t>(capacity)),
        k_scale(2 * v),
        k_zero(k_scale + sizeof(uint16_t) * static_cast<size_t>(head_dim)),
        v_scale(k_zero + sizeof(uint16_t) * static_cast<size_t>(head_dim)),
        bytes(v_scale + sizeof(uint16_t) * static_cast<size_t>(capacity)) {}
};

/// Bytes of one KV head's part of a block.
constexpr size_t part_bytes(Format format, int head_dim, int capacity) {
  return format == Format::fp16 ? Fp16Layout(head_dim, capacity).bytes
                                : Int8Layout(head_dim, capacity).bytes;
}

/// A run of consecutive tokens of one layer. It may be there twice while it leaves the window:
/// queries that still have it in theirs read `fp16`, later ones read `int8`.
struct Block {
  const std::byte* fp16;  // [kv_heads] parts, or null
  const std::byte* int8;  // [kv_heads] parts, or null
  int32_t first;          // position of its first token
  int32_t tokens;         // tokens it holds
  int32_t capacity;       // tokens it has room for
  int32_t coded_from;     // queries that see at least this many tokens read int8

  bool coded_for(int32_t visible) const {
    return int8 != nullptr && (fp16 == nullptr || visible >= coded_from);
  }
};

}  // namespace sightline::attention
