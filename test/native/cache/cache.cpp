#include "cache/cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "attention/half.h"
#include "attention/reference/reference.h"

using namespace sightline;
using cache::Cache;
using cache::Policy;
using cache::PolicyKind;
using cache::Pool;
using cache::Status;

namespace {

constexpr int32_t kLayers = 3;
constexpr cache::Geometry kGeometry{2, 16};
constexpr Policy kSelective{PolicyKind::selective, 16, 256};

/// Element (position, head, channel) of what a layer stores; any value will do, as long as it is
/// the same whenever the position is written.
float key(int32_t layer, int32_t position, int32_t head, int32_t channel) {
  return static_cast<float>((position * 31 + head * 17 + channel * 7 + layer * 5) % 1000) / 100.0f;
}

Status append(Cache& cache, int32_t first, int32_t count, bool finish = true) {
  const auto row = static_cast<size_t>(kGeometry.kv_heads * kGeometry.head_dim);
  std::vector<float> rows(row * static_cast<size_t>(count));
  for (int32_t layer = 0; layer < kLayers; layer++) {
    const Status status = cache.begin(layer, first, count);
    if (status != Status::ok) {
      for (int32_t earlier = 0; earlier < layer; earlier++) cache.abandon(earlier);
      return status;
    }
    for (int32_t i = 0; i < count; i++)
      for (int32_t h = 0; h < kGeometry.kv_heads; h++)
        for (int32_t c = 0; c < kGeometry.head_dim; c++)
          rows[static_cast<size_t>(i) * row + static_cast<size_t>(h * kGeometry.head_dim + c)] =
              key(layer, first + i, h, c);
    for (int32_t h = 0; h < kGeometry.kv_heads; h++) {
      const attention::Rows part{rows.data() + h * kGeometry.head_dim, row, count};
      cache.store_keys(layer, h, part);
      cache.store_values(layer, h, part);
    }
  }
  for (int32_t layer = 0; layer < kLayers; layer++)
    finish ? cache.commit(layer) : cache.abandon(layer);
  return Status::ok;
}

struct Fixture {
  Pool pool;
  Cache cache;
  explicit Fixture(Policy policy = kSelective, size_t budget = 0)
      : pool(budget), cache(policy, pool) {
    for (int32_t layer = 0; layer < kLayers; layer++) REQUIRE(cache.configure(layer, kGeometry));
  }
};

/// Everything a query at the end of the sequence reads, and how it is laid out.
struct Contents {
  std::vector<double> elements;
  std::vector<std::vector<int32_t>> layout;
  bool operator==(const Contents&) const = default;
};

Contents contents(const Cache& cache) {
  Contents all;
  for (int32_t layer = 0; layer < kLayers; layer++) {
    for (const attention::Block& block : cache.blocks(layer)) {
      const bool coded = block.coded_for(cache.length());
      all.layout.push_back({block.first, block.tokens, block.capacity, block.coded_from,
                            block.fp16 != nullptr, block.int8 != nullptr});
      for (int32_t h = 0; h < kGeometry.kv_heads; h++)
        for (int32_t t = 0; t < block.tokens; t++)
          for (int32_t c = 0; c < kGeometry.head_dim; c++) {
            all.elements.push_back(attention::key_at(block, coded, h, kGeometry.head_dim, t, c));
            all.elements.push_back(attention::value_at(block, coded, h, kGeometry.head_dim, t, c));
          }
    }
  }
  return all;
}

void check_account(const Fixture& fixture) {
  const cache::Account account = fixture.cache.account();
  REQUIRE(account.sink_bytes + account.int8_bytes + account.window_bytes == fixture.pool.used());
  REQUIRE(account.sink_tokens + account.int8_tokens + account.window_tokens == account.tokens);
}

Contents straight(int32_t length, Policy policy = kSelective) {
  Fixture fixture(policy);
  for (int32_t i = 0; i < length; i++) REQUIRE(append(fixture.cache, i, 1) == Status::ok);
  return contents(fixture.cache);
}

}  // namespace

TEST_CASE("tokens are sink, int8 blocks and window, by length alone") {
  CHECK(kSelective.coded_blocks(0) == 0);
  CHECK(kSelective.coded_blocks(16 + 256 + 127) == 0);
  CHECK(kSelective.coded_blocks(16 + 256 + 128) == 1);
  CHECK(kSelective.coded_blocks(4096) == 29);
  CHECK(kSelective.coded_from(0) == 16 + 256 + 128);

  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 4096) == Status::ok);
  const cache::Account account = fixture.cache.account();
  CHECK(account.sink_tokens == 16);
  CHECK(account.int8_tokens == 29 * 128);
  CHECK(account.window_tokens == 4096 - 16 - 29 * 128);
  check_account(fixture);
  for (const attention::Block& block : fixture.cache.blocks(0))
    CHECK((block.fp16 == nullptr) != (block.int8 == nullptr));
}

TEST_CASE("full keeps every token in FP16") {
  Fixture fixture({PolicyKind::full, 0, 0});
  REQUIRE(append(fixture.cache, 0, 1000) == Status::ok);
  CHECK(fixture.cache.account().window_tokens == 1000);
  CHECK(fixture.cache.account().int8_bytes == 0);
  for (const double x : contents(fixture.cache).elements) REQUIRE(x >= 0.0);
}

TEST_CASE("what is stored comes back: exactly in FP16, within half a step in int8") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 1500) == Status::ok);
  for (int32_t layer = 0; layer < kLayers; layer++) {
    for (const attention::Block& block : fixture.cache.blocks(layer)) {
      const bool coded = block.coded_for(1500);
      for (int32_t t = 0; t < block.tokens; t++) {
        const float expected =
            attention::half_to_float(attention::float_to_half(key(layer, block.first + t, 1, 3)));
        const double k = attention::key_at(block, coded, 1, kGeometry.head_dim, t, 3);
        const double v = attention::value_at(block, coded, 1, kGeometry.head_dim, t, 3);
        REQUIRE(std::abs(k - expected) <= (coded ? 10.0 / 255 / 2 * 1.01 : 0.0));
        REQUIRE(std::abs(v - expected) <= (coded ? 10.0 / 127 / 2 * 1.01 : 0.0));
      }
    }
  }
}

TEST_CASE("the state does not depend on how a prompt was cut into batches") {
  for (const Policy policy :
       {kSelective, Policy{PolicyKind::selective, 0, 0}, Policy{PolicyKind::selective, 5, 100},
        Policy{PolicyKind::full, 0, 0}}) {
    const Contents expected = straight(1200, policy);
    for (uint32_t seed = 0; seed < 10; seed++) {
      std::mt19937 random(seed);
      Fixture fixture(policy);
      for (int32_t at = 0; at < 1200;) {
        const auto count = std::min<int32_t>(1200 - at, 1 + static_cast<int32_t>(random() % 512));
        REQUIRE(append(fixture.cache, at, count) == Status::ok);
        at += count;
        check_account(fixture);
      }
      REQUIRE(contents(fixture.cache) == expected);
    }
  }
}

TEST_CASE("a query within a batch reads what it would have read alone") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 300) == Status::ok);
  REQUIRE(fixture.cache.begin(0, 300, 500) == Status::ok);
  for (int32_t length = 301; length <= 800; length++) {
    int32_t coded = 0;
    for (const attention::Block& block : fixture.cache.blocks(0))
      coded += block.coded_for(length) ? 1 : 0;
    REQUIRE(coded == kSelective.coded_blocks(length));
  }
  fixture.cache.abandon(0);
}

TEST_CASE("an abandoned step leaves no trace") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 700) == Status::ok);
  const Contents before = contents(fixture.cache);
  const size_t used = fixture.pool.used();
  REQUIRE(append(fixture.cache, 700, 400, false) == Status::ok);
  CHECK(fixture.pool.used() == used);
  CHECK(contents(fixture.cache) == before);
  REQUIRE(append(fixture.cache, 700, 400) == Status::ok);
  CHECK(contents(fixture.cache) == straight(1100));
}

TEST_CASE("truncation keeps what it can and says how much") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 1000) == Status::ok);  // 5 blocks coded: up to token 656
  CHECK(fixture.cache.truncate(2000) == 1000);
  CHECK(fixture.cache.truncate(900) == 900);
  CHECK(fixture.cache.truncate(657) == 657);
  CHECK(fixture.cache.truncate(656) == 656);
  CHECK(fixture.cache.truncate(655) == 528);  // inside a coded block: from its start
  CHECK(fixture.cache.length() == 528);
  check_account(fixture);
  CHECK(fixture.cache.truncate(17) == 16);
  CHECK(fixture.cache.truncate(7) == 7);
  CHECK(fixture.cache.truncate(0) == 0);
  CHECK(fixture.pool.used() == 0);
  CHECK(fixture.pool.reserved() == 0);
}

TEST_CASE("a truncation that crossed no coding is undone exactly by appending again") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 1000) == Status::ok);
  REQUIRE(fixture.cache.truncate(930) == 930);  // 5 blocks are coded from length 912 on
  REQUIRE(append(fixture.cache, 930, 300) == Status::ok);
  CHECK(contents(fixture.cache) == straight(1230));
}

TEST_CASE("held copies make later steps undoable exactly") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 900) == Status::ok);
  const Contents before = contents(fixture.cache);
  fixture.cache.hold(900);
  for (int32_t i = 900; i < 1400; i += 10) REQUIRE(append(fixture.cache, i, 10) == Status::ok);
  check_account(fixture);
  CHECK(contents(fixture.cache).elements == straight(1400).elements);
  REQUIRE(fixture.cache.truncate(900) == 900);
  CHECK(contents(fixture.cache) == before);
  REQUIRE(append(fixture.cache, 900, 500) == Status::ok);
  fixture.cache.hold(Cache::kNoHold);
  CHECK(contents(fixture.cache) == straight(1400));
}

TEST_CASE("compacting gives memory back and changes nothing else") {
  Fixture fixture;
  for (int32_t at = 0; at < 8192; at += 512) REQUIRE(append(fixture.cache, at, 512) == Status::ok);
  const Contents before = contents(fixture.cache);
  const size_t used = fixture.pool.used();
  const size_t reserved = fixture.pool.reserved();
  fixture.cache.compact();
  CHECK(contents(fixture.cache) == before);
  CHECK(fixture.pool.used() == used);
  CHECK(fixture.pool.reserved() < reserved);
  check_account(fixture);
  REQUIRE(append(fixture.cache, 8192, 300) == Status::ok);
  fixture.cache.truncate(0);
  CHECK(fixture.pool.reserved() == 0);
}

TEST_CASE("steps that do not fit the sequence are refused") {
  Fixture fixture;
  REQUIRE(append(fixture.cache, 0, 1000) == Status::ok);
  const Contents before = contents(fixture.cache);
  CHECK(append(fixture.cache, 1001, 1) == Status::refused);  // a gap
  CHECK(append(fixture.cache, 600, 1) == Status::refused);   // inside a coded block
  CHECK(contents(fixture.cache) == before);
  CHECK(append(fixture.cache, 950, 1) == Status::ok);  // cuts by itself where it can
  CHECK(fixture.cache.length() == 951);
  CHECK_FALSE(fixture.cache.configure(0, {4, 16}));
}

TEST_CASE("an exhausted budget is an answer, and what is held stays") {
  Fixture fixture(kSelective, size_t{200} << 10);
  int32_t length = 0;
  Status status = Status::ok;
  while (status == Status::ok) {
    status = append(fixture.cache, length, 50);
    if (status == Status::ok) length += 50;
    check_account(fixture);
  }
  CHECK(status == Status::exhausted);
  CHECK(length >= 400);
  CHECK(fixture.cache.length() == length);
  CHECK(contents(fixture.cache) == straight(length));
  CHECK(fixture.cache.truncate(100) <= 100);
  CHECK(append(fixture.cache, fixture.cache.length(), 50) == Status::ok);
}

TEST_CASE("any sequence of steps and truncations agrees with a plain list of tokens") {
  for (uint32_t seed = 0; seed < 30; seed++) {
    std::mt19937 random(seed);
    const Policy policy{PolicyKind::selective, static_cast<int32_t>(random() % 40),
                        static_cast<int32_t>(random() % 300)};
    Fixture fixture(policy);
    int32_t length = 0;
    for (int step = 0; step < 60; step++) {
      switch (random() % 4) {
        case 0: {
          const auto target = static_cast<int32_t>(random() % static_cast<uint32_t>(length + 1));
          const int32_t kept = fixture.cache.truncate(target);
          REQUIRE(kept <= target);
          REQUIRE(kept > target - attention::kBlockTokens);
          length = kept;
          break;
        }
        case 1:
          REQUIRE(append(fixture.cache, length, 1 + static_cast<int32_t>(random() % 300), false) ==
                  Status::ok);
          break;
        default: {
          const auto count = 1 + static_cast<int32_t>(random() % 300);
          REQUIRE(append(fixture.cache, length, count) == Status::ok);
          length += count;
        }
      }
      REQUIRE(fixture.cache.length() == length);
      check_account(fixture);
      int32_t position = 0;
      for (const attention::Block& block : fixture.cache.blocks(0)) {
        REQUIRE(block.first == position);
        position += block.tokens;
        const bool coded = block.coded_for(length);
        for (const int32_t t : {0, block.tokens - 1}) {
          const double k = attention::key_at(block, coded, 0, kGeometry.head_dim, t, 2);
          REQUIRE(std::abs(k - key(0, block.first + t, 0, 2)) < 0.05);
        }
      }
      REQUIRE(position == length);
    }
  }
}
