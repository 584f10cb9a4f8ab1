// Codes blocks that leave the window: keys or values of one KV head from FP16 to another format, or
// copies them where they have it.
// Compiled without contraction of products and sums, which the CPU's encoders do not have either.

#include "attention/cuda/kernels/code.h"
#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/cuda/kernels/rotate.h"
#include "attention/format/affine.h"
#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"

namespace sightline::attention::cuda {
namespace {

/// A slice's part of a job. Elements become codes where they are.
struct Slice {
  const CodeJob job;
  int thread;
  int first;        // token
  float* elements;  // [kSliceTokens][head_dim + 1]
  float* mean;      // [head_dim]

  __device__ float& at(int t, int c) const { return elements[t * (job.head_dim + 1) + c]; }
  __device__ Extent extent() const { return {job.head_dim, job.capacity, job.tokens}; }
  /// Of the slice, those that there are.
  __device__ int tokens() const { return min(kSliceTokens, job.tokens - first); }

  __device__ float half_at(int t, int c) const {
    return float_of(read(halves_at(job.halves, 0) + half_index(job.keys, extent(), t, c)));
  }

  /// visit(i) for i from 0 up to `count`, over the threads.
  template <typename Visit>
  __device__ void each(int count, const Visit& visit) const {
    for (int i = thread; i < count; i += kSliceThreads) visit(i);
  }

  __device__ void load() const {
    each(kSliceTokens * job.head_dim, [&](int i) {
      const int t = i / job.head_dim, c = i % job.head_dim;
      at(t, c) = first + t < job.tokens ? half_at(first + t, c) : 0.0f;
    });
    sync_block();
  }

  __device__ void put_half(size_t offset, int index, uint16_t half) const {
    write(reinterpret_cast<uint16_t*>(job.coded + offset) + index, half);
  }

  __device__ void code_int8_keys() const {
    const Int8Keys layout(extent());
    each(job.head_dim, [&](int c) {
      const Affine grid =
          Affine::over([&](int t) { return half_at(t, c); }, job.tokens, kLargestInt8Code);
      const AffineCoder coder(grid, kLargestInt8Code);
      for (int t = 0; t < tokens(); t++) at(t, c) = coder.code_of(at(t, c));
      if (first > 0) return;
      put_half(layout.scale, c, grid.step);
      put_half(layout.zero, c, grid.zero);
    });
    pack<8>(layout.codes);
  }

  __device__ void code_int8_values() const {
    const Int8Values layout(extent());
    each(tokens(), [&](int t) {
      float largest = 0.0f;
      for (int c = 0; c < job.head_dim; c++) largest = fmaxf(largest, fabsf(at(t, c)));
      const Int8ValueCoder coder(largest);
      for (int c = 0; c < job.head_dim; c++) at(t, c) = coder.code_of(at(t, c));
      put_half(layout.scale, first + t, coder.scale());
    });
    pack<8>(layout.codes);
  }

  __device__ void code_fp8() const {
    const Fp8Layout layout(extent());
    float largest = 0.0f;
    each(job.tokens * job.head_dim, [&](int i) {
      largest = fmaxf(largest, fabsf(half_at(i / job.head_dim, i % job.head_dim)));
    });
    for (unsigned bits = 1; bits < 32; bits *= 2)
      largest = fmaxf(largest, shuffle_xor(largest, bits));
    if (thread % 32 == 0) mean[thread / 32] = largest;  // of the warp
    sync_block();
    for (int warp = 0; warp < kSliceThreads / 32; warp++) largest = fmaxf(largest, mean[warp]);
    const Fp8Coder coder(largest);
    each(tokens() * job.head_dim, [&](int i) {
      float& element = at(i / job.head_dim, i % job.head_dim);
      element = static_cast<float>(coder(element));
    });
    if (first == 0 && thread == 0) put_half(layout.scale, 0, coder.scale());
    pack<8>(layout.codes);
  }

  template <int kBits>
  __device__ void code_groups(const GroupedLayout& layout) const {
    constexpr int kLargest = (1 << kBits) - 1;
    each(job.head_dim, [&](int c) {
      float sum = 0;
      for (int t = 0; t < job.tokens; t++) sum += half_at(t, c);
      const uint16_t half = float_to_half(sum / static_cast<float>(job.tokens));
      mean[c] = float_of(half);
      if (first == 0) put_half(layout.mean, c, half);
    });
    sync_block();
    each(tokens() * job.head_dim,
         [&](int i) { at(i / job.head_dim, i % job.head_dim) -= mean[i % job.head_dim]; });
    sync_block();
    if (job.keys)
      rotate_rows<kSliceThreads>([&](int t) { return &at(t, 0); }, tokens(), job.head_dim, thread);
    each(tokens() * layout.groups, [&](int i) {
      const int t = i % tokens(), g = i / tokens();
      float* group = &at(t, g * layout.group);
      for (int c = 0; c < layout.group; c++) group[c] = clamped_to_halves(group[c]);
      const Affine grid = fitted_affine([&](int c) { return group[c]; }, layout.group, kLargest);
      const AffineCoder coder(grid, kLargest);
      for (int c = 0; c < layout.group; c++) group[c] = coder.code_of(group[c]);
      const int place = g * job.capacity + first + t;
      put_half(layout.scale, place, grid.step);
      put_half(layout.zero, place, grid.zero);
    });
    pack<kBits>(layout.codes);
  }

  /// Writes the slice's codes, zeros for tokens that there are not.
  template <int kBits>
  __device__ void pack(size_t codes) const {
    constexpr int kRun = 32 / kBits;
    sync_block();
    const int room = min(kSliceTokens, job.capacity - first);
    each(room * job.head_dim / kRun, [&](int i) {
      // Of the slice's rows and lanes.
      const int lanes = job.keys ? room : job.head_dim;
      const int row = i / lanes * kRun, lane = i % lanes;
      uint32_t word = 0;
      for (int n = 0; n < kRun; n++) {
        const int t = job.keys ? lane : row + n, c = job.keys ? row + n : lane;
        const auto code = t < tokens() ? static_cast<uint32_t>(at(t, c)) : 0u;
        word |= code << (n % 4 * 8 + n / 4 * kBits);
      }
      const size_t place = job.keys ? panel_index(row / kRun, job.head_dim / kRun, first + lane)
                                    : panel_index((first + row) / kRun, job.capacity / kRun, lane);
      write(reinterpret_cast<uint32_t*>(job.coded + codes) + place, word);
    });
  }
};

__device__ void copy(const CodeJob& job) {
  const int words = (job.copied_bytes + 3) / 4;
  const int from = words * static_cast<int>(block_index().x) / kSlices;
  const int to = words * (static_cast<int>(block_index().x) + 1) / kSlices;
  for (int i = from + static_cast<int>(thread_index().x); i < to; i += kSliceThreads)
    write(reinterpret_cast<uint32_t*>(job.coded) + i,
          read(reinterpret_cast<const uint32_t*>(job.halves) + i));
}

__device__ void code(const CodeArguments& arguments) {
  const CodeJob job = read(arguments.jobs + block_index().y);
  if (job.copied_bytes > 0) return copy(job);
  const int first = static_cast<int>(block_index().x) * kSliceTokens;
  if (first >= job.capacity) return;
  auto* elements = reinterpret_cast<float*>(dynamic_shared());
  const Slice slice{job, static_cast<int>(thread_index().x), first, elements,
                    elements + kSliceTokens * (job.head_dim + 1)};
  slice.load();
  const Extent extent = slice.extent();
  switch (job.format) {
    case Format::int8:
      return job.keys ? slice.code_int8_keys() : slice.code_int8_values();
    case Format::int4:
      return slice.code_groups<4>(int4_layout(extent));
    case Format::int2:
      return slice.code_groups<2>(int2_layout(extent));
    default:
      return slice.code_fp8();
  }
}

}  // namespace

SIGHTLINE_KERNEL(code_blocks, kSliceThreads, 4, CodeArguments) { code(arguments); }

}  // namespace sightline::attention::cuda
