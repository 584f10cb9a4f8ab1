// Adds up the attention that tokens receive, for the policies that decide by it: of the few tokens
// that are not coded yet. Attention itself has left every row's softmax state; here the logits are
// computed once more.

#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/observe.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/format/format.h"

namespace sightline::attention::cuda {
namespace {

struct Observed {
  const ObserveArguments& arguments;
  int kv_head;
  int position;

  __device__ const AttendArguments& attend() const { return arguments.attend; }
  __device__ int group() const { return attend().heads / attend().kv_heads; }
  __device__ int query_of(int row) const { return row / group(); }
  __device__ int head_of(int row) const { return kv_head * group() + row % group(); }

  /// The weight of a row's product with the token's key, which is in units of ln 2.
  __device__ float weight(int row, float logit) const {
    const int query = query_of(row), head = head_of(row);
    if (position >= read(attend().visible + query)) return 0.0f;
    if (attend().softcap != 0.0f) {
      const float cap = attend().softcap * kLog2E;
      logit = cap * tanhf(logit / cap);
    }
    if (attend().mask != nullptr) {
      const float slope = attend().slopes != nullptr ? read(attend().slopes + head) : 1.0f;
      logit +=
          kLog2E * slope * float_of(read(attend().mask + query * attend().mask_stride + position));
    }
    const RowState state =
        read(attend().states + static_cast<int64_t>(query) * attend().heads + head);
    return state.l > 0.0f ? exp2_of(logit - state.m) / state.l : 0.0f;
  }
};

__device__ void observe(const ObserveArguments& arguments) {
  const AttendArguments& attend = arguments.attend;
  const auto thread = static_cast<int>(thread_index().x);
  const CopyView copy = read(attend.copies + block_index().x);
  const Observed observed{arguments, static_cast<int>(block_index().y), copy.first + thread};
  const int head_dim = arguments.head_dim;
  const int rows = arguments.tokens * observed.group();
  const int index = observed.position - arguments.first;
  const bool counts = thread < copy.tokens && index >= 0 && index < arguments.count;
  const auto* words = reinterpret_cast<const uint32_t*>(
      copy.data + static_cast<int64_t>(copy.part_lines) * static_cast<int64_t>(kPartAlignment) *
                      observed.kv_head);
  auto* const queries = reinterpret_cast<float*>(dynamic_shared());  // [kObserveRows][head_dim]

  float sum = 0.0f;
  for (int first = 0; first < rows; first += kObserveRows) {
    const int there = min(kObserveRows, rows - first);
    sync_block();
    for (int i = thread; i < kObserveRows * head_dim; i += kObserveThreads) {
      const int row = first + i / head_dim;
      queries[i] = i / head_dim >= there
                       ? 0.0f
                       : attend.scale * kLog2E *
                             read(attend.q + observed.query_of(row) * attend.q_token_stride +
                                  observed.head_of(row) * attend.q_head_stride + i % head_dim);
    }
    sync_block();
    if (!counts) continue;
    float logits[kObserveRows] = {};
    for (int pair = 0; pair < head_dim / 2; pair++) {
      const uint32_t word = read(words + panel_index(pair, head_dim / 2, thread));
      const float low = float_of(static_cast<uint16_t>(word));
      const float high = float_of(static_cast<uint16_t>(word >> 16));
      SIGHTLINE_UNROLLED
      for (int r = 0; r < kObserveRows; r++) {
        const float* q = queries + r * head_dim + 2 * pair;
        logits[r] += low * q[0] + high * q[1];
      }
    }
    SIGHTLINE_UNROLLED
    for (int r = 0; r < kObserveRows; r++)
      if (r < there) sum += observed.weight(first + r, logits[r]);
  }
  if (counts) write(arguments.mass + observed.kv_head * arguments.stride + index, sum);
}

}  // namespace

SIGHTLINE_KERNEL(observe_blocks, kObserveThreads, 4, ObserveArguments) { observe(arguments); }

}  // namespace sightline::attention::cuda
