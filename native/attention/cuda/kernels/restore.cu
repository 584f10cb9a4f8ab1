// Restores keys or values of one KV head to FP16, all of a block's tokens or some of them: for
// blocks that are cut, that lose tokens, or that pass from one coded form to another. Compiled
// without contraction of products and sums, which the CPU's decoders do not have either.

#include "attention/cuda/kernels/device.h"
#include "attention/cuda/kernels/panels.h"
#include "attention/cuda/kernels/restore.h"
#include "attention/cuda/kernels/rotate.h"
#include "attention/format/affine.h"
#include "attention/format/fp8.h"
#include "attention/format/int2.h"
#include "attention/format/int4.h"
#include "attention/format/int8.h"

namespace sightline::attention::cuda {
namespace {

/// A slice's part of a job.
struct RestoredSlice {
  const RestoreJob job;
  int thread;
  int first;        // token
  float* elements;  // [kSliceTokens][head_dim + 1]

  __device__ float& at(int t, int c) const { return elements[t * (job.head_dim + 1) + c]; }
  __device__ Extent source() const { return {job.head_dim, job.from_capacity, job.from_capacity}; }
  __device__ Extent target() const { return {job.head_dim, job.capacity, job.tokens}; }
  __device__ int tokens() const { return min(kSliceTokens, job.tokens - first); }

  /// The block's token that the slice's becomes.
  __device__ int token_of(int t) const {
    return job.kept == nullptr ? first + t : read(job.kept + first + t) - job.first;
  }
  __device__ float half_in(size_t offset, int index) const {
    return half_to_float(read(halves_at(job.coded, offset) + index));
  }

  /// The element of `bits` bits at a token and channel.
  __device__ uint32_t code_in(size_t codes, int t, int c, int bits) const {
    const int run = 32 / bits;
    const int row = job.keys ? c : t, lane = job.keys ? t : c;
    const int rows = job.keys ? job.head_dim : job.from_capacity;
    const size_t word = panel_index(row / run, rows / run, lane);
    const int n = row % run;
    // fields of a byte are four rows apart; halves have two rows to a word
    const int shift = bits == 16 ? n * 16 : n % 4 * 8 + n / 4 * bits;
    return read(reinterpret_cast<const uint32_t*>(job.coded + codes) + word) >> shift &
           ((1u << bits) - 1u);
  }

  /// element_of(t, c) for all of the slice, t being the block's token.
  template <typename Element>
  __device__ void fill(const Element& element_of) const {
    for (int i = thread; i < tokens() * job.head_dim; i += kSliceThreads) {
      const int t = i / job.head_dim, c = i % job.head_dim;
      at(t, c) = element_of(token_of(t), c);
    }
    sync_block();
  }

  template <int kBits>
  __device__ void fill_grouped(const GroupedLayout& layout) const {
    fill([&](int t, int c) {
      const int place = c / layout.group * job.from_capacity + t;
      const auto code = static_cast<float>(code_in(layout.codes, t, c, kBits));
      return half_in(layout.zero, place) + half_in(layout.scale, place) * code;
    });
    if (job.keys)
      rotate_rows<kSliceThreads>([&](int t) { return &at(t, 0); }, tokens(), job.head_dim, thread);
    for (int i = thread; i < tokens() * job.head_dim; i += kSliceThreads) {
      const int t = i / job.head_dim, c = i % job.head_dim;
      at(t, c) = half_in(layout.mean, c) + at(t, c);
    }
    sync_block();
  }

  __device__ void fill_int8() const {
    if (job.keys) {
      const Int8Keys layout(source());
      fill([&](int t, int c) {
        const auto code = static_cast<float>(code_in(layout.codes, t, c, 8));
        return half_in(layout.zero, c) + half_in(layout.scale, c) * code;
      });
    } else {
      const Int8Values layout(source());
      fill([&](int t, int c) {
        const int code = static_cast<int>(code_in(layout.codes, t, c, 8)) - kInt8ValueBias;
        return half_in(layout.scale, t) * static_cast<float>(code);
      });
    }
  }

  __device__ void fill_all() const {
    switch (job.format) {
      case Format::int8:
        return fill_int8();
      case Format::int4:
        return fill_grouped<4>(int4_layout(source()));
      case Format::int2:
        return fill_grouped<2>(int2_layout(source()));
      case Format::fp8: {
        const Fp8Layout layout(source());
        return fill([&](int t, int c) {
          const auto code = static_cast<uint8_t>(code_in(layout.codes, t, c, 8));
          return e4m3_to_float(code) * half_in(layout.scale, 0);
        });
      }
      default:
        return fill([&](int t, int c) {
          return half_to_float(static_cast<uint16_t>(code_in(0, t, c, 16)));
        });
    }
  }

  /// Writes the slice's halves, zeros where there are no tokens.
  __device__ void put() const {
    const int room = min(kSliceTokens, job.capacity - first);
    for (int i = thread; i < room * job.head_dim; i += kSliceThreads) {
      const int t = i / job.head_dim, c = i % job.head_dim;
      const uint16_t half = t < tokens() ? float_to_half(at(t, c)) : uint16_t{0};
      write(reinterpret_cast<uint16_t*>(job.halves) + half_index(job.keys, target(), first + t, c),
            half);
    }
  }
};

__device__ void restore(const RestoreArguments& arguments) {
  const RestoreJob job = read(arguments.jobs + block_index().y);
  const int first = static_cast<int>(block_index().x) * kSliceTokens;
  if (first >= job.capacity) return;
  const RestoredSlice slice{job, static_cast<int>(thread_index().x), first,
                            reinterpret_cast<float*>(dynamic_shared())};
  slice.fill_all();
  slice.put();
}

}  // namespace

SIGHTLINE_KERNEL(restore_blocks, kSliceThreads, 4, RestoreArguments) { restore(arguments); }

}  // namespace sightline::attention::cuda
