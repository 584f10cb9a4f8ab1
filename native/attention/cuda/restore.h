#pragma once
// The restoring kernel's launch: grid (kRestoreSlices, jobs), kRestoreThreads threads, shared
// memory by head size. It gives the halves of the CPU's decoders (format/), bit by bit.

#include <cstddef>
#include <cstdint>

#include "attention/block.h"

namespace sightline::attention::cuda {

inline constexpr int kRestoreThreads = 128;

/// Tokens that one thread block restores.
inline constexpr int kRestoreTokens = 32;
inline constexpr int kRestoreSlices = kBlockTokens / kRestoreTokens;

/// One KV head's keys or values, to fp16. Both in the layouts of panels.h.
struct RestoreJob {
  const std::byte* coded;
  std::byte* halves;
  const int32_t* kept;  // [tokens] positions of the tokens wanted, or null: all, in order
  int32_t first;        // position of the block's first token
  int32_t head_dim;
  int32_t from_capacity;
  int32_t capacity;  // of the halves; zeros behind the tokens
  int32_t tokens;
  Format format;  // not lowrank
  bool keys;
};

struct RestoreArguments {
  const RestoreJob* jobs;
};

/// Elements of a slice.
constexpr size_t restore_shared_bytes(int head_dim) {
  return sizeof(float) * static_cast<size_t>(kRestoreTokens * (head_dim + 1));
}

}  // namespace sightline::attention::cuda
