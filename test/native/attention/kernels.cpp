#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "attention/attention.h"
#include "attention/codec.h"
#include "attention/cpu/attend.h"
#include "attention/half.h"
#include "attention/reference/reference.h"

using namespace sightline::attention;

namespace {

struct Case {
  Shape shape;
  int past;    // tokens in the cache before the queries
  int sink;    // FP16 at the start
  int window;  // FP16 at the end, for each query
  float softcap = 0;
  bool sinks = false;
  bool slopes = false;
  bool mask = false;
  float key_offset = 0;
};

/// A cache with the blocks of the selective policy, and queries at its end.
struct Fixture {
  Case given;
  int length;
  std::vector<float> q, sinks, slopes;
  std::vector<uint16_t> mask;
  std::vector<int32_t> visible;
  std::deque<std::vector<std::byte>> storage;  // blocks point into it
  std::vector<Block> blocks;

  explicit Fixture(const Case& given, uint32_t seed) : given(given) {
    const Shape& shape = given.shape;
    length = given.past + shape.tokens;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](size_t count, auto&& make) {
      std::vector<float> values(count);
      for (float& value : values) value = make();
      return values;
    };
    const size_t row = static_cast<size_t>(shape.kv_heads * shape.head_dim);
    q = fill(static_cast<size_t>(shape.tokens * shape.heads * shape.head_dim),
             [&] { return normal(random); });
    auto k = fill(row * static_cast<size_t>(length), [&] { return normal(random); });
    for (size_t i = 0; i < k.size(); i++) k[i] += i % 5 == 0 ? given.key_offset : 0.0f;
    const auto v = fill(row * static_cast<size_t>(length), [&] { return normal(random); });
    sinks = fill(static_cast<size_t>(shape.heads), [&] { return normal(random); });
    slopes = fill(static_cast<size_t>(shape.heads), [&] { return std::fabs(normal(random)); });
    for (int i = 0; i < shape.tokens; i++) visible.push_back(given.past + i + 1);
    if (given.mask) {
      for (int i = 0; i < shape.tokens; i++)
        for (int t = 0; t < length; t++)
          mask.push_back(float_to_half(t % 3 == i % 3 ? -INFINITY : -0.01f * (length - t)));
    }

    for (int first = 0; first < length;) {
      const bool is_sink = first < given.sink;
      const int capacity =
          is_sink ? (given.sink + kTokenGranule - 1) / kTokenGranule * kTokenGranule : kBlockTokens;
      const int room = is_sink ? given.sink : kBlockTokens;
      const int tokens = std::min(room, length - first);
      Block block{nullptr, nullptr, first, tokens, capacity, INT32_MAX};
      if (!is_sink) block.coded_from = first + kBlockTokens + given.window;
      const bool coded = !is_sink && block.coded_from <= length;
      const bool read_as_fp16 = !coded || given.past + 1 < block.coded_from;
      auto& fp16 = storage.emplace_back(part_bytes(Format::fp16, shape.head_dim, capacity) *
                                        static_cast<size_t>(shape.kv_heads));
      auto& int8 = storage.emplace_back(part_bytes(Format::int8, shape.head_dim, capacity) *
                                        static_cast<size_t>(shape.kv_heads));
      for (int h = 0; h < shape.kv_heads; h++) {
        std::byte* part = fp16.data() + part_bytes(Format::fp16, shape.head_dim, capacity) *
                                            static_cast<size_t>(h);
        std::byte* coded_part = int8.data() + part_bytes(Format::int8, shape.head_dim, capacity) *
                                                  static_cast<size_t>(h);
        const size_t at =
            static_cast<size_t>(first) * row + static_cast<size_t>(h * shape.head_dim);
        store_keys(part, shape.head_dim, capacity, 0, {k.data() + at, row, tokens});
        store_values(part, shape.head_dim, capacity, 0, {v.data() + at, row, tokens});
        if (coded) code_keys_int8(part, coded_part, shape.head_dim);
        if (coded) code_values_int8(part, coded_part, shape.head_dim);
      }
      if (read_as_fp16) block.fp16 = fp16.data();
      if (coded) block.int8 = int8.data();
      blocks.push_back(block);
      first += tokens;
    }
  }

  Problem problem(std::vector<float>& out) const {
    const Shape& shape = given.shape;
    out.assign(q.size(), -1.0f);
    const int64_t token_stride = int64_t{shape.heads} * shape.head_dim;
    return {.shape = shape,
            .q = {q.data(), token_stride, shape.head_dim},
            .out = {out.data(), token_stride, shape.head_dim},
            .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
            .softcap = given.softcap,
            .sinks = given.sinks ? sinks.data() : nullptr,
            .slopes = given.slopes ? slopes.data() : nullptr,
            .visible = visible.data(),
            .mask = given.mask ? mask.data() : nullptr,
            .mask_stride = length,
            .blocks = blocks};
  }
};

std::vector<float> run(const Fixture& fixture, const cpu::Kernel& kernel, int threads) {
  std::vector<float> out;
  const Problem problem = fixture.problem(out);
  cpu::Workspace workspace;
  const auto plan = cpu::Plan::make(problem.shape, fixture.visible, fixture.blocks, threads);
  cpu::Attention attention(kernel, plan, problem, workspace.reserve(plan.workspace_floats()));
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back([&, t] { attention.work(t); });
  attention.work(0);
  for (std::thread& other : others) other.join();
  return out;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++)
    largest = std::max(largest, std::isfinite(a[i]) ? std::fabs(double{a[i]} - b[i]) : INFINITY);
  return largest;
}

const std::vector<Case> kCases = {
    // decode: group sizes, head sizes, depths around block and window boundaries
    {{1, 1, 1, 64}, 0, 16, 256},
    {{1, 4, 2, 64}, 15, 16, 256},
    {{1, 4, 2, 64}, 16, 16, 256},
    {{1, 14, 2, 64}, 1000, 16, 256},
    {{1, 14, 2, 64}, 398, 16, 256},
    {{1, 14, 2, 64}, 399, 16, 256},
    {{1, 14, 2, 64}, 400, 16, 256},
    {{1, 8, 8, 80}, 900, 16, 256},
    {{1, 12, 4, 96}, 900, 16, 128},
    {{1, 32, 8, 128}, 777, 16, 256},
    {{1, 8, 4, 256}, 700, 16, 256},
    {{1, 71, 1, 64}, 600, 16, 0},
    {{1, 4, 2, 64}, 600, 0, 0},
    {{1, 4, 2, 64}, 600, 5, 100},
    // prefill: rows that read the same block from different copies
    {{512, 4, 2, 64}, 0, 16, 256},
    {{140, 6, 2, 64}, 777, 16, 256},
    {{130, 4, 4, 128}, 250, 16, 0},
    {{33, 8, 1, 80}, 500, 0, 128},
    {{17, 6, 3, 256}, 400, 16, 256},
    {{64, 10, 2, 96}, 1000, 128, 512},
    // variants
    {{5, 4, 2, 64}, 500, 16, 256, 30.0f},
    {{5, 4, 2, 64}, 500, 16, 256, 0, true},
    {{5, 4, 2, 64}, 500, 16, 256, 0, false, true, true},
    {{70, 4, 2, 64}, 500, 16, 0, 20.0f, true, true, true},
    // key biases as Qwen2.5 has them: large offsets of some channels
    {{3, 14, 2, 64}, 900, 16, 256, 0, false, false, false, 60.0f},
};

}  // namespace

TEST_CASE("every kernel that runs here agrees with the double-precision reference") {
  for (const cpu::Kernel& kernel : cpu::kernels()) {
    if (!kernel.runs_here()) {
      MESSAGE("SKIPPED: this processor does not run the kernel " << std::string(kernel.name));
      continue;
    }
    for (size_t i = 0; i < kCases.size(); i++) {
      const Fixture fixture(kCases[i], static_cast<uint32_t>(i));
      std::vector<float> expected;
      attend_reference(fixture.problem(expected));
      for (const int threads : {1, 3}) {
        CAPTURE(std::string(kernel.name));
        CAPTURE(i);
        CAPTURE(threads);
        // logits of magnitude x carry float errors of about x * 2^-24 * sqrt(head_dim) each
        const double tolerance = kCases[i].key_offset > 0 ? 1e-3 : 1e-5;
        CHECK(largest_difference(run(fixture, kernel, threads), expected) < tolerance);
      }
    }
  }
}

TEST_CASE("the reference weighs what the formula weighs") {
  // Two positions, one channel pair: softmax(0, ln 3) = (1/4, 3/4).
  std::vector<std::byte> fp16(part_bytes(Format::fp16, 16, 16));
  std::vector<float> k(32, 0.0f), v(32, 0.0f), q(16, 0.0f), out(16);
  k[16] = std::log(3.0f);
  q[0] = 1.0f;
  v[0] = 4.0f;
  v[16] = 8.0f;
  store_keys(fp16.data(), 16, 16, 0, {k.data(), 16, 2});
  store_values(fp16.data(), 16, 16, 0, {v.data(), 16, 2});
  const Block block{fp16.data(), nullptr, 0, 2, 16, INT32_MAX};
  const int32_t visible = 2;
  Problem problem{.shape = {1, 1, 1, 16},
                  .q = {q.data(), 16, 16},
                  .out = {out.data(), 16, 16},
                  .scale = 1,
                  .softcap = 0,
                  .sinks = nullptr,
                  .slopes = nullptr,
                  .visible = &visible,
                  .mask = nullptr,
                  .mask_stride = 0,
                  .blocks = {&block, 1}};
  attend_reference(problem);
  CHECK(out[0] == doctest::Approx(7.0).epsilon(1e-3));
  const float sink = 0.0f;  // a third position of logit 0 whose value is 0
  problem.sinks = &sink;
  attend_reference(problem);
  CHECK(out[0] == doctest::Approx(28.0 / 5).epsilon(1e-3));
}

TEST_CASE("a query that sees nothing gives zero") {
  Case none{{2, 4, 2, 64}, 10, 16, 256, 0, false, false, true};
  Fixture fixture(none, 1);
  std::fill(fixture.mask.begin(), fixture.mask.end(), uint16_t{0xfc00});
  for (const cpu::Kernel& kernel : cpu::kernels()) {
    if (!kernel.runs_here()) continue;
    for (const float x : run(fixture, kernel, 2)) REQUIRE(x == 0.0f);
  }
}

TEST_CASE("threads and splits change nothing but rounding, and repeat exactly") {
  const Fixture fixture({{1, 14, 2, 64}, 3000, 16, 256}, 7);
  const cpu::Kernel& kernel = *cpu::choose_kernel();
  const auto one = run(fixture, kernel, 1);
  const auto four = run(fixture, kernel, 4);
  CHECK(largest_difference(one, four) < 1e-6);
  for (int i = 0; i < 20; i++) REQUIRE(run(fixture, kernel, 4) == four);
}

TEST_CASE("a batch computes what its queries compute one at a time") {
  const Fixture batch({{200, 4, 2, 64}, 300, 16, 256}, 3);
  const auto together = run(batch, *cpu::choose_kernel(), 1);
  for (const int i : {0, 1, 99, 100, 101, 199}) {
    Fixture single = batch;
    single.given.shape.tokens = 1;
    single.visible = {batch.visible[static_cast<size_t>(i)]};
    const auto row = static_cast<ptrdiff_t>(4 * 64);
    single.q.assign(batch.q.begin() + i * row, batch.q.begin() + (i + 1) * row);
    for (Block& block : single.blocks)
      block.tokens = std::clamp(single.visible[0] - block.first, 0, block.tokens);
    std::erase_if(single.blocks, [](const Block& block) { return block.tokens == 0; });
    const auto alone = run(single, *cpu::choose_kernel(), 1);
    const std::vector<float> expected(together.begin() + i * row, together.begin() + (i + 1) * row);
    CHECK(largest_difference(alone, expected) < 1e-6);
  }
}

TEST_CASE("the kernel asked for is the one that runs") {
  CHECK(cpu::choose_kernel("portable")->name == "portable");
  CHECK(cpu::choose_kernel("no such kernel") == nullptr);
  for (const cpu::Kernel& kernel : cpu::kernels())
    CHECK((cpu::choose_kernel(kernel.name) != nullptr) == kernel.runs_here());
  CHECK(cpu::choose_kernel()->runs_here());
}
