#include "attention/cuda/plan.h"

#include <algorithm>
#include <limits>

namespace sightline::attention::cuda {
namespace {

// What the system keeps of shared memory for every thread block (CUDA C++ Programming Guide).
constexpr size_t kReservedSharedBytes = 1024;

/// The least number of tokens above `seen` from which on a query reads other copies.
int32_t next_change(std::span<const Block> blocks, int32_t seen) {
  int32_t next = std::numeric_limits<int32_t>::max();
  for (const Block& block : blocks)
    for (const Copy& copy : block.held().subspan(1))
      if (copy.from > seen) next = std::min(next, copy.from);
  return next;
}

/// Makes views of a layer's copies. Most are of the form of the one before, with its offsets.
class Views {
 public:
  explicit Views(int head_dim) : head_dim_(head_dim) {}

  CopyView of(const Block& block, const Copy& copy) {
    const bool is_alike = last_ != nullptr && copy.tier == last_->tier &&
                          copy.capacity == last_->capacity && copy.rank == last_->rank;
    if (!is_alike) view_ = CopyView::of(copy, head_dim_, block.first);
    last_ = &copy;
    view_.data = copy.data;
    view_.positions = copy.positions;
    view_.first = block.first;
    view_.tokens = static_cast<int16_t>(copy.tokens);
    return view_;
  }

 private:
  int head_dim_;
  const Copy* last_ = nullptr;
  CopyView view_{};
};

/// Parts of the cache: as many as all thread blocks that are resident at a time can take.
int splits_for(const AttendKernel& kernel, size_t groups, size_t blocks, const GpuInfo& gpu) {
  const auto fitting =
      static_cast<int>(gpu.processor_shared_bytes / (kernel.shared_bytes + kReservedSharedBytes));
  const auto slots = static_cast<size_t>(gpu.processors * std::min(kernel.resident, fitting));
  const size_t most =
      std::min((blocks + kAttendWarps - 1) / kAttendWarps, static_cast<size_t>(kernel.most_splits));
  return static_cast<int>(std::max(std::min(slots / groups, most), size_t{1}));
}

}  // namespace

Plan Plan::make(const Shape& shape, std::span<const int32_t> visible, std::span<const Block> blocks,
                const GpuInfo& gpu) {
  const int group = shape.group();
  const int rows = shape.tokens * group;
  Plan plan{
      .kernel = rows <= kEight ? decode_kernel(shape.head_dim) : prefill_kernel(shape.head_dim),
      .kv_heads = shape.kv_heads,
      .splits = 1};
  const auto sees = [&](int row) { return visible[static_cast<size_t>(row / group)]; };
  Views views(shape.head_dim);
  size_t longest = 0;
  // What was listed last is read by queries that see from `listed` to below `changes` tokens.
  int32_t first_copy = 0, listed = 0, changes = 0;
  for (int first = 0; first < rows;) {
    const int32_t seen = sees(first);
    if (seen < listed || seen >= changes) {
      listed = seen;
      changes = next_change(blocks, seen);
      first_copy = static_cast<int32_t>(plan.copies.size());
      plan.copies.reserve(plan.copies.size() + blocks.size());
      for (const Block& block : blocks) {
        const Copy& copy = block.copy(seen);
        plan.copies.push_back(views.of(block, copy));
        plan.rotates |= copy.tier.k == Format::int4;
      }
    }
    const int most = std::min(plan.kernel.rows, rows - first);
    int count = 1;
    int32_t end = seen;
    for (; count < most; count++) {
      const int32_t next = sees(first + count);
      if (next < listed || next >= changes) break;
      end = std::max(end, next);
    }
    // Blocks behind what the tile's queries see are none of its business.
    const auto read =
        std::ranges::partition_point(blocks, [&](const Block& block) { return block.first < end; });
    const auto copies = static_cast<size_t>(read - blocks.begin());
    longest = std::max(longest, copies);
    plan.tiles.push_back({first, count, first_copy, static_cast<int32_t>(copies)});
    first += count;
  }
  plan.splits = splits_for(plan.kernel, plan.arrivals(), longest, gpu);
  return plan;
}

LaunchSize Plan::launch_size() const {
  return {.grid_x = static_cast<unsigned>(splits),
          .grid_y = static_cast<unsigned>(kv_heads),
          .grid_z = static_cast<unsigned>(tiles.size()),
          .threads = kAttendThreads,
          .shared_bytes = kernel.shared_bytes};
}

size_t Plan::partial_floats() const {
  return splits == 1 ? 0
                     : arrivals() * static_cast<size_t>(splits) *
                           static_cast<size_t>(kernel.partial_floats);
}

}  // namespace sightline::attention::cuda
