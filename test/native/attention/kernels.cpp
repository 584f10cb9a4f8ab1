#include <doctest/doctest.h>

#include <cstdlib>
#include <thread>

#include "attention/cpu/attend.h"
#include "attention/reference/reference.h"
#include "fixture.h"

using namespace sightline::attention;
using test::Case;
using test::Fixture;
using test::largest_difference;

namespace {

std::vector<float> run(Fixture& fixture, const cpu::Kernel& kernel, int threads) {
  std::vector<float> out;
  const Problem problem = fixture.problem(out);
  cpu::Workspace workspace;
  const auto plan = cpu::Plan::make(problem.shape, fixture.visible, fixture.blocks, threads,
                                    problem.received.count);
  cpu::Attention attention(kernel, plan, problem, workspace.reserve(plan.workspace_floats()));
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back([&, t] { attention.work(t); });
  attention.work(0);
  for (std::thread& other : others) other.join();
  return out;
}

std::vector<float> expect(Fixture& fixture) {
  std::vector<float> out;
  attend_reference(fixture.problem(out));
  return out;
}

void each_kernel(auto&& visit) {
  for (const cpu::Kernel& kernel : cpu::kernels()) {
    CAPTURE(std::string(kernel.name));
    if (kernel.runs_here()) visit(kernel);
  }
}

// Floats alone: logits of a few units carry errors of about 2^-24 * sqrt(head_dim) of that.
constexpr double kFloatTolerance = 1e-5;

// Integer products round a query's elements to 1 / 16510 of the largest one, and a block's weights
// likewise. With normal elements that moves a logit by about
//   max|q s| / 16510 / sqrt(3) * rms(code) * sqrt(head_dim) / sqrt(head_dim) = 2e-4
// and an output, over a block of 128 tokens, by about as much again; the extremes are five times
// that.
constexpr double kTwoDigitTolerance = 2e-3;

// With codes of 4 bits or less it is 1 / 254 of the largest: the same estimate gives 1.3e-2 for a
// logit. Outputs average such errors over the tokens of a block, where some were dropped over few;
// again the extremes are some times that.
constexpr double kOneDigitTolerance = 4e-2;

double tolerance_of(Tier tier) {
  const auto has = [&](auto... formats) {
    return ((tier.k == formats || tier.v == formats) || ...);
  };
  if (has(Format::int4, Format::int2)) return kOneDigitTolerance;
  return has(Format::int8) ? kTwoDigitTolerance : kFloatTolerance;
}

double tolerance_of(const Case& given) {
  return std::max(tolerance_of(given.tier), given.last ? tolerance_of(*given.last) : 0.0);
}

const Tier kFp16{};
const Tier kInt4{Format::int4, Format::int4};

const std::vector<Case> kCases = {
    // decode: group sizes, head sizes, depths around block and window boundaries
    {.shape = {1, 1, 1, 64}, .past = 0},
    {.shape = {1, 4, 2, 64}, .past = 15},
    {.shape = {1, 4, 2, 64}, .past = 16},
    {.shape = {1, 14, 2, 64}, .past = 1000},
    {.shape = {1, 14, 2, 64}, .past = 398},
    {.shape = {1, 14, 2, 64}, .past = 399},
    {.shape = {1, 14, 2, 64}, .past = 400},
    {.shape = {1, 8, 8, 80}, .past = 900},
    {.shape = {1, 12, 4, 96}, .past = 900, .window = 128},
    {.shape = {1, 32, 8, 128}, .past = 777},
    {.shape = {1, 8, 4, 256}, .past = 700},
    {.shape = {1, 71, 1, 64}, .past = 600, .window = 0},
    {.shape = {1, 4, 2, 64}, .past = 600, .sink = 0, .window = 0},
    {.shape = {1, 4, 2, 64}, .past = 600, .sink = 5, .window = 100},
    {.shape = {1, 14, 2, 64}, .past = 3000, .tier = kFp16},
    // prefill: rows that read the same block from different copies
    {.shape = {512, 4, 2, 64}, .past = 0},
    {.shape = {140, 6, 2, 64}, .past = 777},
    {.shape = {130, 4, 4, 128}, .past = 250, .window = 0},
    {.shape = {33, 8, 1, 80}, .past = 500, .sink = 0, .window = 128},
    {.shape = {17, 6, 3, 256}, .past = 400},
    {.shape = {64, 10, 2, 96}, .past = 1000, .sink = 128, .window = 512},
    {.shape = {16, 4, 2, 32}, .past = 800, .window = 64},
    {.shape = {16, 4, 2, 64}, .past = 800, .tier = kInt4},
    {.shape = {33, 8, 8, 128}, .past = 800, .window = 0},
    {.shape = {300, 4, 2, 64}, .past = 500, .window = 128, .last = kInt4},
    {.shape = {512, 4, 2, 64}, .past = 0, .window = 0, .last = kInt4},
    // copies that dropped tokens
    {.shape = {1, 14, 2, 64}, .past = 900, .kept = 64},
    {.shape = {1, 6, 2, 128}, .past = 900, .tier = kInt4, .kept = 40},
    {.shape = {20, 4, 2, 80}, .past = 700, .tier = kFp16, .kept = 1, .mask = true},
    // keys as products
    {.shape = {1, 14, 2, 64}, .past = 900, .tier = {Format::lowrank, Format::int8}},
    {.shape = {20, 4, 2, 64}, .past = 500, .window = 128, .tier = {Format::lowrank, Format::fp16}},
    // variants
    {.shape = {5, 4, 2, 64}, .past = 500, .softcap = 30.0f},
    {.shape = {5, 4, 2, 64}, .past = 500, .sinks = true},
    {.shape = {5, 4, 2, 64}, .past = 500, .slopes = true, .mask = true},
    {.shape = {70, 4, 2, 64},
     .past = 500,
     .window = 0,
     .softcap = 20.0f,
     .sinks = true,
     .slopes = true,
     .mask = true},
};

}  // namespace

TEST_CASE("every kernel that runs here agrees with the double-precision reference") {
  for (const cpu::Kernel& kernel : cpu::kernels())
    if (!kernel.runs_here())
      MESSAGE("SKIPPED: this processor does not run the kernel " << std::string(kernel.name));
  for (size_t i = 0; i < kCases.size(); i++) {
    Fixture fixture(kCases[i], static_cast<uint32_t>(i));
    const auto expected = expect(fixture);
    CAPTURE(i);
    each_kernel([&](const cpu::Kernel& kernel) {
      for (const int threads : {1, 3}) {
        CAPTURE(threads);
        CHECK(largest_difference(run(fixture, kernel, threads), expected) <
              tolerance_of(kCases[i]));
      }
    });
  }
}

namespace {

void check_tier(Tier tier) {
  for (const int head_dim : {16, 64, 80, 96, 128, 256}) {
    const Case given{.shape = {2, 6, 2, head_dim}, .past = 420, .window = 0, .tier = tier};
    Fixture fixture(given, 1);
    const auto expected = expect(fixture);
    CAPTURE(name_of(tier));
    CAPTURE(head_dim);
    each_kernel([&](const cpu::Kernel& kernel) {
      CHECK(largest_difference(run(fixture, kernel, 1), expected) < tolerance_of(given));
    });
  }
}

}  // namespace

TEST_CASE("every pair of formats at every head size") {
  for (const Tier tier : test::all_tiers())
    if (tier.k != Format::lowrank) check_tier(tier);
}

TEST_CASE("lowrank keys at every head size") { check_tier({Format::lowrank, Format::int8}); }

TEST_CASE("key biases as Qwen2.5 has them do not blow up the rounding of queries") {
  // Every fifth channel is off by 60 standard deviations: logits reach hundreds, where an error of
  // one part in 16510 of the largest element is about 0.05.
  const Case given{.shape = {3, 14, 2, 64}, .past = 900, .key_offset = 60.0f};
  Fixture fixture(given, 2);
  const auto expected = expect(fixture);
  each_kernel([&](const cpu::Kernel& kernel) {
    CHECK(largest_difference(run(fixture, kernel, 1), expected) < 0.05);
  });
}

TEST_CASE("large values of tokens that weigh nothing do not spoil the rounding of the others") {
  for (const Tier tier : {test::kInt8, kInt4, Tier{Format::int8, Format::int2}}) {
    CAPTURE(name_of(tier));
    const Case given{.shape = {1, 14, 2, 64},
                     .past = 899,
                     .window = 0,
                     .tier = tier,
                     .mask = true,
                     .value_factor = 100.0f};
    Fixture fixture(given, 4);
    const auto expected = expect(fixture);
    each_kernel([&](const cpu::Kernel& kernel) {
      CHECK(largest_difference(run(fixture, kernel, 1), expected) < tolerance_of(given));
    });
  }
}

TEST_CASE("integer products give the same bits on every instruction set but for the exponentials") {
  // A last bit of an exponential may turn a number by one.
  const std::pair<Tier, double> tiers[] = {{{Format::int8, Format::int8}, 2e-4}, {kInt4, 2e-3}};
  for (const auto& [tier, bound] : tiers) {
    Fixture fixture({.shape = {1, 14, 2, 64}, .past = 2000, .window = 0, .tier = tier}, 3);
    const auto portable = run(fixture, *cpu::choose_kernel("portable"), 1);
    each_kernel([&](const cpu::Kernel& kernel) {
      CHECK(largest_difference(run(fixture, kernel, 1), portable) < bound);
    });
  }
}

TEST_CASE("the attention that tokens receive is what the reference says") {
  for (const int threads : {1, 4}) {
    for (const Case& given :
         {Case{.shape = {1, 14, 2, 64}, .past = 900, .observed = 300},
          Case{.shape = {130, 6, 2, 64}, .past = 700, .observed = 400},
          Case{.shape = {7, 4, 2, 64}, .past = 500, .sinks = true, .mask = true, .observed = 200},
          Case{.shape = {40, 4, 4, 64}, .past = 0, .sink = 16, .observed = 40}}) {
      Fixture fixture(given, 5);
      expect(fixture);
      const auto expected = fixture.mass;
      REQUIRE(*std::max_element(expected.begin(), expected.end()) > 0.0f);
      each_kernel([&](const cpu::Kernel& kernel) {
        run(fixture, kernel, threads);
        CHECK(largest_difference(fixture.mass, expected) < 2e-3);
      });
    }
  }
}

TEST_CASE("the reference weighs what the formula weighs") {
  // Two positions, one channel pair: softmax(0, ln 3) = (1/4, 3/4).
  const Extent extent{16, 16, 2};
  std::vector<std::byte> part(part_bytes({}, extent));
  std::vector<float> k(32, 0.0f), v(32, 0.0f), q(16, 0.0f), out(16);
  k[16] = std::log(3.0f);
  q[0] = 1.0f;
  v[0] = 4.0f;
  v[16] = 8.0f;
  store_keys(at_offset<uint16_t>(part.data(), 0), extent, 0, {k.data(), 16, 2});
  store_values(at_offset<uint16_t>(part.data(), values_offset({}, extent)), extent, 0,
               {v.data(), 16, 2});
  Block block{.first = 0, .tokens = 2, .count = 1, .copies = {}};
  block.copies[0] = {.data = part.data(), .tier = {}, .capacity = 16, .tokens = 2};
  const int32_t visible = 2;
  float mass[2] = {};
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
                  .blocks = {&block, 1},
                  .received = {0, 2, 2, mass}};
  attend_reference(problem);
  CHECK(out[0] == doctest::Approx(7.0).epsilon(1e-3));
  CHECK(mass[0] == doctest::Approx(0.25).epsilon(1e-3));
  CHECK(mass[1] == doctest::Approx(0.75).epsilon(1e-3));
  const float sink = 0.0f;  // a third position of logit 0 whose value is 0
  problem.sinks = &sink;
  attend_reference(problem);
  CHECK(out[0] == doctest::Approx(28.0 / 5).epsilon(1e-3));
  CHECK(mass[1] == doctest::Approx(0.75 + 0.6).epsilon(1e-3));
}

TEST_CASE("a query that sees nothing gives zero") {
  Fixture fixture({.shape = {2, 4, 2, 64}, .past = 10, .mask = true}, 1);
  std::fill(fixture.mask.begin(), fixture.mask.end(), uint16_t{0xfc00});
  each_kernel([&](const cpu::Kernel& kernel) {
    for (const float x : run(fixture, kernel, 2)) REQUIRE(x == 0.0f);
  });
}

TEST_CASE("threads and splits change nothing but rounding, and repeat exactly") {
  Fixture fixture({.shape = {1, 14, 2, 64}, .past = 3000}, 7);
  const cpu::Kernel& kernel = *cpu::choose_kernel();
  const auto one = run(fixture, kernel, 1);
  const auto four = run(fixture, kernel, 4);
  // A split has its own maximum, so the weights are rounded elsewhere.
  CHECK(largest_difference(one, four) < kTwoDigitTolerance);
  for (int i = 0; i < 20; i++) REQUIRE(run(fixture, kernel, 4) == four);
}

TEST_CASE("a batch computes what its queries compute one at a time") {
  Fixture batch({.shape = {200, 4, 2, 64}, .past = 300}, 3);
  const auto together = run(batch, *cpu::choose_kernel(), 1);
  for (const int i : {0, 1, 99, 100, 101, 199}) {
    Fixture single({.shape = {1, 4, 2, 64}, .past = 0}, 1);
    single.visible = {batch.visible[static_cast<size_t>(i)]};
    const auto row = static_cast<ptrdiff_t>(4 * 64);
    single.q.assign(batch.q.begin() + i * row, batch.q.begin() + (i + 1) * row);
    single.blocks = batch.blocks;
    std::erase_if(single.blocks,
                  [&](const Block& block) { return block.first >= single.visible[0]; });
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

namespace {
const char* const kExpectedKernel = std::getenv("SIGHTLINE_EXPECTED_KERNEL");
}

// Only who starts the test knows which processor this is.
TEST_CASE("the fastest kernel of the processor is chosen" * doctest::skip(!kExpectedKernel)) {
  CHECK(cpu::choose_kernel()->name == kExpectedKernel);
}
