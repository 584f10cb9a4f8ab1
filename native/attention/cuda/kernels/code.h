#pragma once
// The coding kernel's launch: grid (kSlices, jobs), kSliceThreads threads, slice_shared_bytes of
// shared memory. It gives the codes of the CPU's encoders (format/), bit by bit.

#include <cstddef>
#include <cstdint>

#include "attention/cuda/kernels/slice.h"

namespace sightline::attention::cuda {

/// One KV head's keys or values, both in the layouts of panels.h.
struct CodeJob {
  const std::byte* halves;  // fp16, or what is copied
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

}  // namespace sightline::attention::cuda
