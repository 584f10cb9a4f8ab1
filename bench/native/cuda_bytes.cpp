#include <array>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "attention/cuda/emulator/kernels.h"
#include "attention/cuda/emulator/machine.h"
#include "attention/cuda/kernels/attend.h"
#include "attention/format/format.h"
#include "bench.h"

namespace sightline::bench {
namespace {

using namespace attention;
using namespace attention::cuda;

/// Zeros, aligned as the driver aligns memory.
struct alignas(256) Line {
  std::array<std::byte, 256> bytes{};
};

/// What is in the cache: a sink and a window in FP16, between them blocks of a tier. They all show
/// the same memory, whose contents do not change what is read.
struct Cache {
  std::vector<Line> memory;
  std::vector<CopyView> copies;
  size_t bytes = 0;
  bool rotates = false;

  Cache(Tier tier, int head_dim, int depth, int sink, int window)
      : memory(part_bytes({}, {head_dim, kBlockTokens, kBlockTokens}) / sizeof(Line)) {
    add({}, head_dim, sink);
    while (last + kBlockTokens + window <= depth) add(tier, head_dim, kBlockTokens);
    while (last < depth) add({}, head_dim, std::min(kBlockTokens, depth - last));
  }

 private:
  void add(Tier tier, int head_dim, int tokens) {
    const int capacity = (tokens + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
    const Copy copy{
        .data = memory.front().bytes.data(), .tier = tier, .capacity = capacity, .tokens = tokens};
    copies.push_back(CopyView::of(copy, head_dim, last));
    bytes += part_bytes(tier, copy.extent(head_dim));
    rotates |= tier.k == Format::int4;
    last += tokens;
  }
  int32_t last = 0;
};

template <typename T>
std::vector<Line> lines_for(size_t count) {
  return std::vector<Line>(count * sizeof(T) / sizeof(Line) + 1);
}

}  // namespace

void cuda_bytes(const Arguments& arguments) {
  const int head_dim = arguments.count("head-dim");
  const int group = arguments.count("group");
  const int depth = arguments.count("depth");
  const int splits = arguments.count("splits");
  const auto tier = tier_named(arguments.text("tier"));
  const AttendKernel kernel = decode_kernel(head_dim);
  if (!tier || kernel.name == nullptr) throw std::invalid_argument("no such tier or head size");
  if (group > kernel.rows || splits > kernel.most_splits)
    throw std::invalid_argument("--group or --splits is too large");

  const Cache cache(*tier, head_dim, depth, arguments.count("sink"), arguments.count("window"));
  auto q = lines_for<float>(static_cast<size_t>(group * head_dim));
  auto out = q;
  auto partials = lines_for<float>(static_cast<size_t>(splits * kernel.partial_floats));
  const RowTile tile{0, group, 0, static_cast<int32_t>(cache.copies.size())};
  int32_t arrivals = 0;
  const AttendArguments attend{.q = reinterpret_cast<const float*>(q.data()),
                               .q_token_stride = int64_t{group} * head_dim,
                               .q_head_stride = head_dim,
                               .out = reinterpret_cast<float*>(out.data()),
                               .scale = 1,
                               .softcap = 0,
                               .sinks = nullptr,
                               .slopes = nullptr,
                               .visible = &depth,
                               .mask = nullptr,
                               .mask_stride = 0,
                               .copies = cache.copies.data(),
                               .tiles = &tile,
                               .partials = reinterpret_cast<float*>(partials.data()),
                               .arrivals = &arrivals,
                               .states = nullptr,
                               .heads = group,
                               .kv_heads = 1,
                               .rotates = cache.rotates};
  emulator::Machine machine;
  machine.count_memory();
  const emulator::Kernel& emulated = emulator::kernel_named(kernel.name);
  machine.run({{static_cast<unsigned>(splits), 1, 1}, {kAttendThreads, 1, 1}, kernel.shared_bytes},
              [&] { emulated.run(&attend); });
  const emulator::Counts& counts = machine.counts();
  std::printf(
      "{\"needed\": %zu, \"read\": %llu, \"written\": %llu, \"products\": %llu, "
      "\"sharedBytes\": %zu}\n",
      cache.bytes, static_cast<unsigned long long>(counts.global_read),
      static_cast<unsigned long long>(counts.global_written),
      static_cast<unsigned long long>(counts.matrix_products), kernel.shared_bytes);
}

}  // namespace sightline::bench
