// Appends a step's keys and values to FP16 copies. Elements beyond the range of halves become the
// largest one, as on the CPU (format/fp16.h). Values up to the end of the last granule of tokens
// become zeros: a product takes whole granules, and what is there from before may be a NaN.

#include "attention/cuda/kernels/append.h"
#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/half.h"

namespace sightline::attention::cuda {
namespace {

__device__ void append(const AppendArguments& arguments) {
  const AppendSegment segment = read(arguments.segments + block_index().y);
  const auto kv_head = static_cast<int>(block_index().x);
  const bool keys = arguments.first_side + static_cast<int>(block_index().z) == 0;
  const int head_dim = arguments.head_dim;
  const StepRows& rows = keys ? arguments.keys : arguments.values;
  auto* elements = reinterpret_cast<uint16_t*>(segment.copy +
                                               static_cast<int64_t>(segment.part_bytes) * kv_head +
                                               (keys ? 0 : segment.values_offset));
  const Extent extent{head_dim, segment.capacity, segment.capacity};
  const auto put = [&](int token, int channel, uint16_t half) {
    write(elements + half_index(keys, extent, token, channel), half);
  };

  const auto thread = static_cast<int>(thread_index().x);
  for (int i = thread; i < segment.count * head_dim; i += kAppendThreads) {
    const int row = i / head_dim, channel = i % head_dim;
    put(segment.at + row, channel,
        float_to_half(clamped_to_halves(
            read(rows.data + (segment.first + row) * rows.stride + kv_head * head_dim + channel))));
  }
  if (keys) return;
  const int end = segment.at + segment.count;
  const int empty = (end + kTokenGranule - 1) / kTokenGranule * kTokenGranule - end;
  for (int i = thread; i < empty * head_dim; i += kAppendThreads)
    put(end + i / head_dim, i % head_dim, 0);
}

}  // namespace

SIGHTLINE_KERNEL(append_rows, kAppendThreads, 8, AppendArguments) { append(arguments); }

}  // namespace sightline::attention::cuda
