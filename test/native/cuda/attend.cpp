#include <doctest/doctest.h>

#include <functional>

#include "../attention/fixture.h"
#include "attention/cuda/emulator/kernels.h"
#include "attention/cuda/emulator/machine.h"
#include "attention/cuda/plan.h"
#include "attention/cuda/transfer.h"
#include "attention/reference/reference.h"
#include "memory.h"

using namespace sightline::attention;
using namespace sightline::attention::cuda;
using test::Case;
using test::DeviceMemory;
using test::Fixture;
using test::largest_difference;

namespace {

/// A fixture's blocks in GPU memory.
struct DeviceBlocks {
  std::deque<DeviceMemory<std::byte>> parts;
  std::vector<Block> blocks;

  explicit DeviceBlocks(const Fixture& fixture) : blocks(fixture.blocks) {
    for (Block& block : blocks)
      for (int i = 0; i < block.count; i++)
        bring(block.copies[static_cast<size_t>(i)], fixture.given.shape);
  }

  /// Of what the queries of one tile read.
  size_t bytes(const Shape& shape, int32_t visible) const {
    size_t sum = 0;
    for (const Block& block : blocks) {
      const Copy& copy = block.copy(visible);
      sum +=
          part_bytes(copy.tier, copy.extent(shape.head_dim)) * static_cast<size_t>(shape.kv_heads);
    }
    return sum;
  }

 private:
  void bring(Copy& copy, const Shape& shape) {
    const Extent extent = copy.extent(shape.head_dim);
    const size_t bytes = part_bytes(copy.tier, extent);
    const size_t all_bytes = bytes * static_cast<size_t>(shape.kv_heads);
    auto& all = parts.emplace_back(all_bytes);
    std::copy_n(copy.data, all_bytes, all.data());
    for (int h = 0; h < shape.kv_heads; h++)
      to_words(copy.tier, extent, all.all().subspan(bytes * static_cast<size_t>(h), bytes));
    copy.data = all.data();
  }
};

enum class Way { decode, prefill };

struct Outcome {
  std::vector<float> out;
  emulator::Counts counts;
  size_t needed;  // bytes of the copies
};

/// With either kernel, as if there were only so many rows to a tile.
Plan plan_for(const Fixture& fixture, const std::vector<Block>& blocks, Way way, int splits) {
  const Shape& shape = fixture.given.shape;
  GpuInfo gpu;
  gpu.processors = 4;
  gpu.processor_shared_bytes = emulator::kSharedBytes;
  Plan plan = Plan::make(shape, fixture.visible, blocks, gpu);
  plan.splits = splits;
  const bool decodes = way == Way::decode;
  if (decodes == (shape.tokens * shape.group() <= kEight)) return plan;
  plan.kernel = decodes ? decode_kernel(shape.head_dim) : prefill_kernel(shape.head_dim);
  std::vector<RowTile> tiles;
  for (const RowTile& tile : plan.tiles)
    for (int row = 0; row < tile.rows; row += plan.kernel.rows)
      tiles.push_back({tile.first_row + row, std::min(plan.kernel.rows, tile.rows - row),
                       tile.first_copy, tile.copies});
  plan.tiles = tiles;
  return plan;
}

/// Adds up the attention that the problem's tokens received, behind `attend`.
void observe(const Problem& problem, const std::vector<Block>& blocks,
             const AttendArguments& attend, emulator::Machine& machine) {
  const Received& received = problem.received;
  std::vector<CopyView> copies;
  for (const Block& block : blocks)
    if (block.end() > received.first)
      copies.push_back(CopyView::of(block.copies[0], problem.shape.head_dim, block.first));
  ObserveArguments arguments{attend,         problem.shape.tokens, problem.shape.head_dim,
                             received.first, received.count,       received.stride,
                             received.mass};
  arguments.attend.copies = copies.data();
  machine.run(
      {{static_cast<unsigned>(copies.size()), static_cast<unsigned>(problem.shape.kv_heads), 1},
       {kObserveThreads, 1, 1},
       observe_shared_bytes(problem.shape.head_dim)},
      [&] { observe_blocks(arguments); });
}

Outcome launch(Fixture& fixture, emulator::Machine& machine, Way way, int splits) {
  std::vector<float> out;
  const Problem problem = fixture.problem(out);
  const DeviceBlocks blocks(fixture);
  const Plan plan = plan_for(fixture, blocks.blocks, way, splits);
  DeviceMemory<float> partials(plan.partial_floats());
  std::ranges::fill(partials.all(), NAN);
  DeviceMemory<float> results(out.size());
  std::vector<int32_t> arrivals(plan.arrivals());
  std::vector<RowState> states(fixture.given.observed > 0
                                   ? static_cast<size_t>(problem.shape.tokens * problem.shape.heads)
                                   : 0);
  const AttendArguments arguments{.q = problem.q.data,
                                  .q_token_stride = problem.q.token_stride,
                                  .q_head_stride = problem.q.head_stride,
                                  .out = results.data(),
                                  .scale = problem.scale,
                                  .softcap = problem.softcap,
                                  .sinks = problem.sinks,
                                  .slopes = problem.slopes,
                                  .visible = problem.visible,
                                  .mask = problem.mask,
                                  .mask_stride = problem.mask_stride,
                                  .copies = plan.copies.data(),
                                  .tiles = plan.tiles.data(),
                                  .partials = partials.data(),
                                  .arrivals = arrivals.data(),
                                  .states = states.data(),
                                  .heads = problem.shape.heads,
                                  .kv_heads = problem.shape.kv_heads,
                                  .rotates = plan.rotates};
  const LaunchSize size = plan.launch_size();
  const emulator::Kernel& emulated = emulator::kernel_named(plan.kernel.name);
  machine.run({{size.grid_x, size.grid_y, size.grid_z}, {size.threads, 1, 1}, size.shared_bytes},
              [&] { emulated.run(&arguments); });
  for (const int32_t arrival : arrivals) CHECK(arrival == 0);
  std::ranges::copy(results.all(), out.begin());
  if (problem.received.count > 0) observe(problem, blocks.blocks, arguments, machine);
  return {std::move(out), machine.counts(), blocks.bytes(problem.shape, fixture.visible.front())};
}

std::vector<float> run(Fixture& fixture, Way way, uint32_t seed, int splits) {
  emulator::Machine machine({seed});
  return launch(fixture, machine, way, splits).out;
}

// Queries, weights and what folds into them are rounded to halves, 2^-12 of each. With normal
// elements that moves a logit by 2^-12 times its own size, up to five, and an output by about as
// much again.
constexpr double kTolerance = 4e-3;

const Tier kFp16{};
const Tier kInt4{Format::int4, Format::int4};

const std::vector<Case> kCases = {
    {.shape = {1, 1, 1, 64}, .past = 0},
    {.shape = {1, 4, 2, 64}, .past = 15},
    {.shape = {1, 4, 2, 64}, .past = 16},
    {.shape = {1, 14, 2, 64}, .past = 500, .tier = kFp16},
    {.shape = {1, 14, 2, 64}, .past = 700},
    {.shape = {1, 8, 8, 80}, .past = 500, .window = 128},
    {.shape = {1, 12, 4, 96}, .past = 500, .window = 128},
    {.shape = {1, 32, 8, 128}, .past = 477, .window = 128},
    {.shape = {1, 8, 4, 256}, .past = 400, .window = 128},
    {.shape = {1, 71, 1, 64}, .past = 300, .window = 0},
    {.shape = {1, 4, 2, 64}, .past = 600, .sink = 5, .window = 100},
    {.shape = {5, 4, 2, 64}, .past = 250, .window = 128, .last = kInt4},
    {.shape = {5, 4, 2, 64}, .past = 500, .softcap = 30.0f},
    {.shape = {5, 4, 2, 64}, .past = 500, .sinks = true},
    {.shape = {5, 4, 2, 64}, .past = 500, .slopes = true, .mask = true},
    {.shape = {1, 14, 2, 64}, .past = 900, .kept = 64},
    {.shape = {4, 4, 2, 80}, .past = 700, .tier = kFp16, .kept = 1, .mask = true},
    // more rows than a tile has, of which some read other copies than others
    {.shape = {40, 4, 2, 64}, .past = 100, .window = 0},
    {.shape = {70, 2, 1, 64}, .past = 120, .window = 0, .last = kInt4},
    {.shape = {20, 8, 2, 128}, .past = 250, .window = 128},
    {.shape = {9, 8, 2, 256}, .past = 200, .window = 0, .tier = kInt4},
};

}  // namespace

TEST_CASE("attention agrees with the double-precision reference in any order of threads") {
  for (size_t i = 0; i < kCases.size(); i++) {
    CAPTURE(i);
    Fixture fixture(kCases[i], static_cast<uint32_t>(i));
    std::vector<float> expected;
    attend_reference(fixture.problem(expected));
    for (const Way way : {Way::decode, Way::prefill}) {
      CAPTURE(static_cast<int>(way));
      const bool is_long = kCases[i].shape.tokens > 5 || kCases[i].shape.heads > 20;
      for (const uint32_t seed : {0u, 1u, 2u, 3u, 4u, 5u}) {
        CAPTURE(seed);
        if (is_long && seed % 3 != 2) continue;
        const int splits = 1 + static_cast<int>(seed) % 3;
        CHECK(largest_difference(run(fixture, way, seed, splits), expected) < kTolerance);
      }
    }
  }
}

TEST_CASE("the attention that tokens receive is what the reference says") {
  uint32_t seed = 0;
  for (const Case& given :
       {Case{.shape = {1, 14, 2, 64}, .past = 900, .observed = 300},
        Case{.shape = {30, 6, 2, 80}, .past = 700, .observed = 300},
        Case{.shape = {7, 4, 2, 64}, .past = 500, .sinks = true, .mask = true, .observed = 200},
        Case{.shape = {3, 4, 2, 128}, .past = 300, .softcap = 30.0f, .observed = 290},
        Case{.shape = {20, 4, 4, 64}, .past = 0, .sink = 16, .observed = 20}}) {
    CAPTURE(seed);
    Fixture fixture(given, 5);
    std::vector<float> out;
    attend_reference(fixture.problem(out));
    const auto expected = fixture.mass;
    REQUIRE(*std::ranges::max_element(expected) > 0.0f);
    for (const Way way : {Way::decode, Way::prefill}) {
      std::ranges::fill(fixture.mass, NAN);
      run(fixture, way, seed++ % 6, 2);
      CHECK(largest_difference(fixture.mass, expected) < 2e-3);
    }
  }
}

TEST_CASE("a plan lists what a tile's queries see, once, and splits as far as the GPU has room") {
  GpuInfo gpu;
  gpu.processors = 10;
  gpu.processor_shared_bytes = size_t{100} << 10;
  // Blocks of 128 tokens; the second is there in two forms, the later one from 300 tokens on.
  std::vector<Block> blocks(4);
  for (int i = 0; i < 4; i++) {
    Block& block = blocks[static_cast<size_t>(i)];
    block.first = 128 * i;
    block.tokens = 128;
    block.count = 1;
    block.copies[0] = {.tier = {}, .capacity = 128, .tokens = 128};
  }
  blocks[1].count = 2;
  blocks[1].copies[1] = {.tier = test::kInt8, .capacity = 128, .tokens = 128, .from = 300};

  // 40 queries of 2 heads each, which see 280 to 319 tokens.
  std::vector<int32_t> visible;
  for (int i = 0; i < 40; i++) visible.push_back(280 + i);
  const Shape shape{40, 4, 2, 64};
  const Plan plan = Plan::make(shape, visible, blocks, gpu);
  CHECK(std::string(plan.kernel.name) == "prefill_64");
  REQUIRE(plan.tiles.size() == 2);
  const auto [first, second] = std::pair{plan.tiles[0], plan.tiles[1]};
  CHECK((first.first_row == 0 && first.rows == 2 * 20 && first.first_copy == 0));
  CHECK((second.first_row == 40 && second.rows == 2 * 20 && second.first_copy == 4));
  CHECK((first.copies == 3 && second.copies == 3));  // the fourth is behind what they see
  CHECK(plan.copies[1].tier == Tier{});
  CHECK(plan.copies[5].tier == test::kInt8);
  CHECK_FALSE(plan.rotates);
  CHECK(plan.splits == 1);  // of so few blocks

  // One query over a long cache: as many parts as all thread blocks that are resident can take.
  std::vector<Block> many(400, blocks[0]);
  for (int i = 0; i < 400; i++) many[static_cast<size_t>(i)].first = 128 * i;
  const int32_t all = 400 * 128;
  const Plan decode = Plan::make({1, 4, 2, 64}, {&all, 1}, many, gpu);
  CHECK(std::string(decode.kernel.name) == "decode_64");
  CHECK(decode.splits * 2 <= 10 * decode.kernel.resident);
  CHECK(decode.splits > 5);
  CHECK(decode.partial_floats() ==
        static_cast<size_t>(2 * decode.splits * decode.kernel.partial_floats));
}

TEST_CASE("what threads of attention share is ordered by barriers") {  // for the thread sanitizer
  Fixture fixture({.shape = {1, 4, 2, 64}, .past = 290, .window = 0, .tier = kInt4}, 3);
  std::vector<float> expected;
  attend_reference(fixture.problem(expected));
  for (const Way way : {Way::decode, Way::prefill})
    CHECK(largest_difference(run(fixture, way, 2, 2), expected) < kTolerance);
}

TEST_CASE("attention reads every pair of formats at every head size") {
  for (const Tier tier : test::all_tiers()) {
    if (tier.k == Format::lowrank) continue;
    CAPTURE(static_cast<int>(tier.k));
    CAPTURE(static_cast<int>(tier.v));
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      CAPTURE(head_dim);
      Fixture fixture({.shape = {1, 6, 2, head_dim}, .past = 290, .window = 64, .tier = tier}, 7);
      std::vector<float> expected;
      attend_reference(fixture.problem(expected));
      CHECK(largest_difference(run(fixture, Way::decode, 5, 2), expected) < kTolerance);
      if (head_dim % 96 == 64)  // 64 and 256: one eight a warp and two
        CHECK(largest_difference(run(fixture, Way::prefill, 4, 1), expected) < kTolerance);
    }
  }
}

TEST_CASE("decode reads what the formats need, and writes results and partials") {
  for (const Shape shape : {Shape{1, 32, 8, 128}, Shape{1, 28, 4, 128}, Shape{1, 14, 2, 64}}) {
    for (const Tier tier : {kFp16, test::kInt8, Tier{Format::int8, Format::int4}, kInt4}) {
      CAPTURE(shape.heads);
      CAPTURE(name_of(tier));
      constexpr int kSplits = 4;
      Fixture fixture({.shape = shape, .past = 2047, .window = 128, .tier = tier}, 1);
      emulator::Machine machine({2});
      machine.count_memory();
      const auto [out, counts, needed] = launch(fixture, machine, Way::decode, kSplits);
      const size_t results = sizeof(float) * out.size();
      const size_t partials = sizeof(float) * static_cast<size_t>(shape.kv_heads * kSplits) *
                              static_cast<size_t>(shape.group() * (shape.head_dim + 2));
      // The queries, and descriptions of blocks and rows.
      const size_t besides = results * kSplits + 64 * 1024;
      MESSAGE(shape.heads << " heads, " << name_of(tier) << ": "
                          << static_cast<double>(counts.global_read) / static_cast<double>(needed)
                          << " of the cache's bytes read");
      CHECK(counts.global_read <= needed * 105 / 100 + partials + besides);
      CHECK(counts.global_read >= needed);
      const size_t states = emulator::kSectorBytes * partials / sizeof(float) /
                            static_cast<size_t>(shape.head_dim + 2);  // a sector each
      CHECK(counts.global_written <= results + partials + states + 4096);
    }
  }
}
