#pragma once
// The coding kernel's launch: grid (kSlices, jobs), kCodeThreads threads, shared memory by head
// size. It gives the codes of the CPU's encoders (format/), bit by bit.

#include <cstddef>
#include <cstdint>

#include "attention/block.h"

namespace sightline::attention::cuda {

inline constexpr int kCodeThreads = 128;

/// Tokens that one thread block codes.
inline constexpr int kSliceTokens = 32;
inline constexpr int kSlices = kBlockTokens / kSliceTokens;

/// One KV head's keys or values, both in the layouts of panels.h.
struct CodeJob {
  const std::byte* halves;  // fp16
  std::byte* coded;
  int32_t head_dim;
  int32_t capacity;  // of both
  int32_t tokens;
  int32_t copied_bytes;  // of a source that has the format already, else 0
  Format format;         // fp8, int8, int4 or int2
  bool keys;
};

struct CodeArguments {
  const CodeJob* jobs;
};

/// Elements of a slice, then of the mean.
constexpr size_t code_shared_bytes(int head_dim) {
  return sizeof(float) * static_cast<size_t>((kSliceTokens + 1) * (head_dim + 1));
}

}  // namespace sightline::attention::cuda
