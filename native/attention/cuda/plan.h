#pragma once
// How one attention is launched: which kernel, the tiles of rows, the copies that each reads, and
// into how many parts the cache is split.

#include <cstdint>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "attention/cuda/gpu.h"
#include "attention/cuda/kernels/attend.h"

namespace sightline::attention::cuda {

struct Plan {
  AttendKernel kernel;
  int kv_heads;
  int splits = 1;
  std::vector<RowTile> tiles = {};
  std::vector<CopyView> copies = {};
  bool rotates = false;

  /// Whether there are kernels for a head size.
  static bool is_possible(int head_dim) { return decode_kernel(head_dim).name != nullptr; }

  /// `visible`: as in Problem. `blocks` show GPU memory.
  static Plan make(const Shape& shape, std::span<const int32_t> visible,
                   std::span<const Block> blocks, const GpuInfo& gpu);

  LaunchSize launch_size() const;
  /// Of AttendArguments::partials and ::arrivals.
  size_t partial_floats() const;
  size_t arrivals() const { return tiles.size() * static_cast<size_t>(kv_heads); }
};

}  // namespace sightline::attention::cuda
