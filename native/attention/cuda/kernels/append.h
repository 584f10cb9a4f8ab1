#pragma once
// The appending kernel's launch: grid (kv_heads, segments, sides), kAppendThreads threads.

#include <cstddef>
#include <cstdint>

namespace sightline::attention::cuda {

inline constexpr int kAppendThreads = 128;

/// Consecutive rows of a step that go to one FP16 copy.
struct AppendSegment {
  std::byte* copy;  // [kv_heads] parts
  int32_t part_bytes;
  int32_t values_offset;
  int32_t capacity;
  int32_t at;     // the copy's token that the first row becomes
  int32_t first;  // row of the step
  int32_t count;
};

/// Rows of a step, one a token: KV head h of row i starts at data + i * stride + h * head_dim.
struct StepRows {
  const float* data;
  int64_t stride;
};

struct AppendArguments {
  StepRows keys, values;
  const AppendSegment* segments;
  int32_t head_dim;
  int32_t first_side;  // 0: keys, 1: values
};

}  // namespace sightline::attention::cuda
