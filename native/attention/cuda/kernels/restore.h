#pragma once
// The restoring kernel's launch: grid (kSlices, jobs), kSliceThreads threads, slice_shared_bytes of
// shared memory. It gives the halves of the CPU's decoders (format/), bit by bit.

#include <cstddef>
#include <cstdint>

#include "attention/cuda/kernels/slice.h"

namespace sightline::attention::cuda {

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

}  // namespace sightline::attention::cuda
