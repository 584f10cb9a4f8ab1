#pragma once
// The observing kernel's launch, behind attention that gave its rows' states: grid (blocks,
// kv_heads), kObserveThreads threads, shared memory by head size.

#include <cstddef>
#include <cstdint>

#include "attention/cuda/kernels/arguments.h"

namespace sightline::attention::cuda {

/// A thread for every token of a block.
inline constexpr int kObserveThreads = kBlockTokens;

/// Rows whose queries are in shared memory at a time.
inline constexpr int kObserveRows = 8;

struct ObserveArguments {
  AttendArguments attend;  // copies: of the blocks observed, in FP16, of all their tokens
  int32_t tokens;          // queries
  int32_t head_dim;
  int32_t first, count;  // positions [first, first + count) are observed
  int64_t stride;        // of a KV head
  float* mass;           // [kv_heads][stride] out: softmax weights summed over queries and heads
};

constexpr size_t observe_shared_bytes(int head_dim) {
  return sizeof(float) * static_cast<size_t>(kObserveRows * head_dim);
}

}  // namespace sightline::attention::cuda
