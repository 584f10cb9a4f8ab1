#include "cache/policy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "cache/schedule.h"
#include "policies.h"

using namespace sightline;
using attention::Format;
using attention::Tier;
using cache::Level;
using cache::Policy;
using cache::PolicyKind;
using cache::Schedule;

namespace {

constexpr Tier kFp16{Format::fp16, Format::fp16};
constexpr Tier kInt8{Format::int8, Format::int8};
constexpr Tier kK8V4{Format::int8, Format::int4};
constexpr Tier kInt4{Format::int4, Format::int4};

size_t block_bytes(const Policy& policy, const test::Geometries& layers, size_t level) {
  size_t sum = 0;
  for (size_t i = 0; i < layers.size(); i++) {
    attention::Copy copy;
    copy.tier = *cache::ladder(policy, static_cast<int32_t>(i))[level];
    copy.capacity = copy.tokens = attention::kBlockTokens;
    sum += cache::slot_bytes(layers[i], copy);
  }
  return sum;
}

}  // namespace

TEST_CASE("ladders") {
  using Levels = std::vector<Level>;
  CHECK(cache::ladder({.kind = PolicyKind::full}) == Levels{kFp16});
  CHECK(cache::ladder({.kind = PolicyKind::selective, .tier = kK8V4}) == Levels{kFp16, kK8V4});
  CHECK(cache::ladder({.kind = PolicyKind::hierarchical}) == Levels{kFp16, kInt8, kInt4});
  CHECK(cache::ladder({.kind = PolicyKind::compressed}) == Levels{kFp16, std::nullopt});
  CHECK(cache::ladder({.kind = PolicyKind::automatic}) == Levels{kFp16, kInt8, kK8V4, kInt4});
  CHECK(cache::ladder({.kind = PolicyKind::lowrank, .tier = kInt4}) ==
        Levels{kFp16, Tier{Format::lowrank, Format::int4}});
  const Policy own{.kind = PolicyKind::automatic, .layers = {{3, Format::fp16, {}}}};
  CHECK(cache::ladder(own, 2) == Levels{kFp16, kInt8, kK8V4, kInt4});
  CHECK(cache::ladder(own, 3) == Levels{kFp16, Tier{Format::fp16, Format::int8},
                                        Tier{Format::fp16, Format::int4},
                                        Tier{Format::fp16, Format::int4}});
  for (const Policy& policy : test::policies())
    CHECK(cache::ladder(policy).size() <= attention::Block::kMostCopies);
}

TEST_CASE("windows by tier") {
  CHECK(cache::default_window({.kind = PolicyKind::selective}) == 256);
  CHECK(cache::default_window(
            {.kind = PolicyKind::selective, .tier = {Format::fp8, Format::fp8}}) == 256);
  CHECK(cache::default_window({.kind = PolicyKind::selective, .tier = kK8V4}) == 896);
  CHECK(cache::default_window({.kind = PolicyKind::h2o, .tier = kInt4}) == 896);
  CHECK(cache::default_window({.kind = PolicyKind::hierarchical}) == 896);
  CHECK(cache::default_window({.kind = PolicyKind::compressed}) == 896);
}

TEST_CASE("names") {
  for (int kind = 0; kind <= static_cast<int>(PolicyKind::importance); kind++)
    CHECK(cache::policy_named(cache::name_of(static_cast<PolicyKind>(kind))) ==
          static_cast<PolicyKind>(kind));
  CHECK(cache::name_of(PolicyKind::automatic) == "auto");
  CHECK_FALSE(cache::policy_named("automatic"));
}

TEST_CASE("policies that cannot be are told apart from those that can") {
  for (const Policy& policy : test::policies()) CHECK_FALSE(cache::fault_of(policy));
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  using Kind = PolicyKind;
  const Policy faulty[] = {
      {.kind = Kind::full, .sink = -1},
      {.kind = Kind::full, .sink = 1 << 20},
      {.kind = Kind::selective, .window = -1},
      {.kind = Kind::selective, .window = std::numeric_limits<int32_t>::max()},
      {.kind = Kind::selective, .tier = {Format::int2, Format::int8}},
      {.kind = Kind::selective, .tier = {Format::lowrank, Format::int8}},
      {.kind = Kind::selective, .tier = {Format::int8, Format::lowrank}},
      {.kind = Kind::hierarchical, .window = 512, .span = 511},
      {.kind = Kind::automatic, .step = 0},
      {.kind = Kind::lowrank, .rank = 6},
      {.kind = Kind::lowrank, .rank = -4},
      {.kind = Kind::lowrank, .energy = 0.0f},
      {.kind = Kind::lowrank, .energy = kNan},
      {.kind = Kind::lowrank, .tier = {Format::int8, Format::fp8}, .rank = 16},
      {.kind = Kind::h2o, .keep = 0.0f},
      {.kind = Kind::h2o, .keep = 1.5f},
      {.kind = Kind::h2o, .keep = kNan},
      {.kind = Kind::attention, .threshold = 1.01f},
      {.kind = Kind::importance, .weights = {0, 0, 0}},
      {.kind = Kind::importance, .weights = {-0.5f, 1, 1}},
      {.kind = Kind::importance, .weights = {kNan, 1, 1}},
      {.kind = Kind::selective, .layers = {{-1, Format::fp16, {}}}},
      {.kind = Kind::selective, .layers = {{1, Format::fp16, {}}, {1, {}, Format::fp16}}},
      {.kind = Kind::selective, .layers = {{1, Format::int2, {}}}},
      {.kind = Kind::selective, .layers = {{1, {}, Format::lowrank}}},
  };
  for (const Policy& policy : faulty) {
    CAPTURE(&policy - faulty);
    REQUIRE(cache::fault_of(policy));
    CHECK(cache::fault_of(policy)->back() == '.');
  }
}

TEST_CASE("blocks pass to a level when their last token leaves the window, or the span") {
  const Schedule selective({.kind = PolicyKind::selective, .sink = 16, .window = 256},
                           test::kSmall);
  CHECK(selective.from(0, 0) == 0);
  CHECK(selective.from(0, 1) == 16 + 256 + 128);
  CHECK(selective.from(28, 1) == 16 + 256 + 29 * 128);
  const Schedule hierarchical(
      {.kind = PolicyKind::hierarchical, .sink = 0, .window = 1024, .span = 4096}, test::kSmall);
  CHECK(hierarchical.from(3, 1) == 1024 + 4 * 128);
  CHECK(hierarchical.from(3, 2) == 4096 + 4 * 128);
  const Schedule h2o({.kind = PolicyKind::h2o, .sink = 16, .window = 256}, test::kSmall);
  CHECK(h2o.from(0, 1) == 16 + 256 + 128 + 1);  // decided once there are 16 + 256 + 128
  CHECK(Schedule({.kind = PolicyKind::full}, test::kSmall).from(0, 1) == Schedule::kNever);
}

TEST_CASE("steps end where a block is decided about") {
  const Policy h2o{.kind = PolicyKind::h2o, .sink = 16, .window = 256};
  CHECK(h2o.step_limit(0) == 400);
  CHECK(h2o.step_limit(399) == 1);
  CHECK(h2o.step_limit(400) == 128);
  CHECK(h2o.step_limit(500) == 28);
  CHECK(Policy{.kind = PolicyKind::lowrank, .rank = 8}.step_limit(0) > 1 << 30);
  CHECK(Policy{.kind = PolicyKind::lowrank, .window = 8}.step_limit(0) == 16 + 8 + 128);
}

TEST_CASE("a budget is met by the least that is coded, oldest first") {
  for (const auto& layers : {std::vector<cache::LayerFormats>{},
                             std::vector<cache::LayerFormats>{{0, Format::fp16, Format::fp16}}}) {
    Policy policy{.kind = PolicyKind::automatic, .window = 100, .step = 200, .layers = layers};
    CHECK(Schedule(policy, test::kSmall).from(0, 1) == Schedule::kNever);  // no bound
    std::vector<size_t> bytes;
    for (size_t level = 0; level < 4; level++)
      bytes.push_back(block_bytes(policy, test::kSmall, level));
    // The rest of the budget: the sink, two blocks of window, two of a step, and those it codes.
    size_t fixed = (2 + 2) * bytes[0];
    for (const cache::Geometry& g : test::kSmall)
      fixed += size_t{16} * 4 * static_cast<size_t>(g.kv_heads * g.head_dim);
    size_t coded = 0;
    for (size_t l = 1; l < 4; l++) {
      const size_t gain = bytes[l - 1] - bytes[l];
      coded = std::max(coded, ((2 * bytes[l - 1] + gain - 1) / gain + 1) * bytes[l]);
    }
    fixed += coded;
    for (const size_t budget : {size_t{1}, size_t{200} << 10, size_t{500} << 10}) {
      policy.budget = budget;
      const Schedule schedule(policy, test::kSmall);
      std::vector<size_t> before(4);
      for (int32_t blocks = 0; blocks < 60; blocks++) {
        const int32_t length = 116 + 128 * blocks;
        std::vector<size_t> at(4);  // blocks at each level or above
        for (int32_t b = 0; b < blocks; b++)
          for (int32_t level = 0; level < 4; level++)
            if (schedule.from(b, level) <= length) at[static_cast<size_t>(level)]++;
        const auto sum = [&](size_t level, size_t lower) {
          return bytes[level] * lower +
                 (level > 0 ? bytes[level - 1] * (static_cast<size_t>(blocks) - lower) : 0);
        };
        // All blocks are within two neighbouring levels, and one block less coded is too much.
        size_t level = 3;
        while (level > 0 && at[level] == 0) level--;
        if (level > 1) CHECK(at[level - 1] == static_cast<size_t>(blocks));
        for (size_t l = 0; l < 4; l++) CHECK(at[l] >= before[l]);
        before = at;
        if (level == 0 || at[3] == static_cast<size_t>(blocks)) continue;
        CHECK(fixed + sum(level, at[level]) <= budget);
        CHECK(fixed + sum(level, at[level] - 1) > budget);
      }
    }
  }
}
