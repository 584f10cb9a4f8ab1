#include "cache/sequence.h"

#include <doctest/doctest.h>

#include <memory>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "cache/forecast.h"
#include "model.h"
#include "policies.h"
#include "tokens.h"

using namespace sightline;
using attention::Format;
using cache::Account;
using cache::Policy;
using cache::PolicyKind;
using cache::Pool;
using cache::Rollback;
using cache::Sequence;
using cache::Status;
using test::kSmall;
using test::Model;

namespace {

const Policy kSelective{.kind = PolicyKind::selective, .sink = 16, .window = 256};

struct Fixture {
  Pool pool;
  Sequence sequence;

  explicit Fixture(const Policy& policy = kSelective, size_t budget = 0)
      : pool(budget), sequence(policy, pool) {
    for (size_t i = 0; i < kSmall.size(); i++)
      REQUIRE(sequence.configure(static_cast<int32_t>(i), kSmall[i]));
  }
};

/// Tokens that are their positions.
Status append(Sequence& sequence, int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), sequence.length());
  return test::append(sequence, sequence.length(), tokens);
}

void fill(Sequence& sequence, int32_t length) {
  while (sequence.length() < length)
    REQUIRE(append(sequence, std::min({100, length - sequence.length(), sequence.step_limit()})) ==
            Status::ok);
}

/// What queries at the end read.
std::vector<Model::Head> contents(const Sequence& sequence) {
  std::vector<Model::Head> all;
  for (int32_t l = 0; l < sequence.layers(); l++)
    for (const attention::Block& block : sequence.blocks(l))
      for (int32_t head = 0; head < sequence.layer(l).geometry().kv_heads; head++)
        all.push_back(Model::head_of(sequence.layer(l).geometry(), block,
                                     block.copy(sequence.length()), head));
  return all;
}

std::vector<Model::Head> straight(int32_t length, const Policy& policy = kSelective) {
  Fixture fixture(policy);
  fill(fixture.sequence, length);
  return contents(fixture.sequence);
}

}  // namespace

TEST_CASE("tokens are sink, coded blocks and window, by length alone") {
  Fixture fixture;
  REQUIRE(append(fixture.sequence, 4096) == Status::ok);
  const Account account = fixture.sequence.account();
  CHECK(account.sink.tokens == 16);
  REQUIRE(account.coded.size() == 1);
  CHECK(account.coded[0].tier == attention::Tier{Format::int8, Format::int8});
  CHECK(account.coded[0].tokens == 29 * 128);
  CHECK(account.window.tokens == 4096 - 16 - 29 * 128);
  CHECK(account.bytes() == fixture.pool.used());
  for (const attention::Block& block : fixture.sequence.blocks(0)) CHECK(block.count == 1);
}

TEST_CASE("levels show in the account, oldest lowest") {
  Fixture fixture({.kind = PolicyKind::hierarchical, .sink = 0, .window = 128, .span = 512});
  fill(fixture.sequence, 1024);
  const Account account = fixture.sequence.account();
  REQUIRE(account.coded.size() == 2);
  CHECK(account.coded[0].tier == attention::Tier{Format::int4, Format::int4});
  CHECK(account.coded[0].tokens == 512);
  CHECK(account.coded[1].tier == attention::Tier{Format::int8, Format::int8});
  CHECK(account.coded[1].tokens == 384);
  CHECK(account.window.tokens == 128);

  Fixture dropping({.kind = PolicyKind::compressed, .sink = 16, .window = 128});
  fill(dropping.sequence, 1024);
  CHECK(dropping.sequence.account().dropped_tokens == 768);
  CHECK(dropping.sequence.account().coded.empty());
  CHECK(dropping.sequence.account().window.tokens == 1024 - 16 - 768);

  Fixture h2o({.kind = PolicyKind::h2o, .sink = 0, .window = 127, .keep = 0.25f});
  fill(h2o.sequence, 1024);
  CHECK(h2o.sequence.account().dropped_tokens == 7 * 96);
  CHECK(h2o.sequence.account().coded[0].tokens == 7 * 32);
}

TEST_CASE("what a sequence will take is known before") {
  for (const Policy& policy : test::policies()) {
    CAPTURE(cache::name_of(policy.kind));
    Fixture fixture(policy);
    for (const int32_t length : {0, 1, 130, 300, 555, 1000}) {
      fill(fixture.sequence, length);
      const size_t bytes = cache::forecast_bytes(policy, kSmall, length);
      if (policy.decides_from_data() || policy.kind == PolicyKind::lowrank) {
        CHECK(fixture.sequence.account().bytes() <= bytes);
      } else {
        CHECK(fixture.sequence.account().bytes() == bytes);
      }
    }
  }
}

TEST_CASE("an abandoned step leaves no trace, attention received included") {
  for (const Policy& policy :
       {kSelective, Policy{.kind = PolicyKind::h2o, .window = 64, .keep = 0.3f}}) {
    Fixture fixture(policy);
    fill(fixture.sequence, 500);
    const auto before = contents(fixture.sequence);
    const size_t used = fixture.pool.used();
    for (int i = 0; i < 3; i++) {
      const std::vector<int32_t> other(
          static_cast<size_t>(std::min(fixture.sequence.step_limit(), 400)), 7);
      REQUIRE(test::append(fixture.sequence, 500, other, [] { return false; }) == Status::ok);
      CHECK(fixture.pool.used() == used);
      CHECK(contents(fixture.sequence) == before);
    }
    fill(fixture.sequence, 1100);
    CHECK(contents(fixture.sequence) == straight(1100, policy));
  }
}

TEST_CASE("truncation keeps what it can and says how much") {
  Fixture fixture;
  fill(fixture.sequence, 1000);  // 5 blocks coded: up to token 656
  CHECK(fixture.sequence.truncate(2000) == 1000);
  CHECK(fixture.sequence.truncate(900) == 900);
  CHECK(fixture.sequence.truncate(656) == 656);
  CHECK(fixture.sequence.truncate(655) == 528);  // inside a coded block: from its start
  CHECK(fixture.sequence.length() == 528);
  CHECK(fixture.sequence.truncate(17) == 16);
  CHECK(fixture.sequence.truncate(7) == 7);
  CHECK(fixture.sequence.truncate(-1) == 0);
  CHECK(fixture.pool.used() == 0);
  CHECK(fixture.pool.reserved() == 0);
}

TEST_CASE("a coded block can be opened again; its tokens are degraded until coded or cut") {
  Fixture fixture;
  fill(fixture.sequence, 1000);
  CHECK(fixture.sequence.truncate(600, Rollback::reopen) == 600);
  CHECK(fixture.sequence.account().degraded_tokens == 600 - 528);
  CHECK(fixture.sequence.account().window.tokens == 600 - 528);
  fill(fixture.sequence, 911);
  CHECK(fixture.sequence.account().degraded_tokens == 72);
  fill(fixture.sequence, 912);  // the block leaves the window
  CHECK(fixture.sequence.account().degraded_tokens == 0);
  CHECK(fixture.sequence.truncate(600, Rollback::reopen) == 600);
  CHECK(fixture.sequence.truncate(540, Rollback::reopen) == 540);
  CHECK(fixture.sequence.account().degraded_tokens == 12);
  CHECK(fixture.sequence.truncate(528) == 528);
  CHECK(fixture.sequence.account().degraded_tokens == 0);
  CHECK(fixture.sequence.account().bytes() == fixture.pool.used());
}

TEST_CASE("a block that tokens were dropped from cannot be opened again") {
  for (const Policy& policy : {Policy{.kind = PolicyKind::compressed, .window = 64},
                               Policy{.kind = PolicyKind::h2o, .window = 64, .keep = 0.5f}}) {
    Fixture fixture(policy);
    fill(fixture.sequence, 700);
    CHECK(fixture.sequence.truncate(300, Rollback::reopen) == 272);
  }
}

TEST_CASE("held copies make later steps undoable exactly") {
  for (const Policy& policy :
       {kSelective, Policy{.kind = PolicyKind::hierarchical, .window = 0, .span = 200},
        Policy{.kind = PolicyKind::importance, .window = 64, .keep = 0.4f}}) {
    Fixture fixture(policy);
    // As for a completion: held before the prompt's last token is evaluated.
    fixture.sequence.hold(899);
    fill(fixture.sequence, 900);
    const auto before = contents(fixture.sequence);
    fill(fixture.sequence, 1400);
    const auto after = contents(fixture.sequence);
    CHECK(after == straight(1400, policy));
    for (int i = 0; i < 2; i++) {
      REQUIRE(fixture.sequence.truncate(899) == 899);
      fill(fixture.sequence, 900);
      CHECK(contents(fixture.sequence) == before);
      fill(fixture.sequence, 1400);
      CHECK(contents(fixture.sequence) == after);
    }
    fixture.sequence.hold(cache::kNoHold);
    for (const attention::Block& block : fixture.sequence.blocks(0)) CHECK(block.count == 1);
  }
}

TEST_CASE("a revocable step can be taken back but for its first token, with no trace") {
  int revoked = 0;
  for (const Policy& policy : test::policies()) {
    CAPTURE(cache::name_of(policy.kind));
    for (int32_t length = 1; length < 900; length += 1 + length % 37) {
      CAPTURE(length);
      Fixture plain(policy), fixture(policy);
      for (Fixture* each : {&plain, &fixture}) {
        fill(each->sequence, length);
        if (length % 2 == 0) each->sequence.hold(length / 2);
      }
      fill(plain.sequence, length + 1);
      const int32_t step = fixture.sequence.revocable_step();
      REQUIRE(step >= 1);
      if (policy.needs_attention()) CHECK(step == 1);
      REQUIRE(append(fixture.sequence, step) == Status::ok);
      CHECK(fixture.pool.used() == plain.pool.used());
      const int32_t kept = length + 1 + (step - 1) / 2;
      CHECK(fixture.sequence.truncate(kept) == kept);
      fill(plain.sequence, kept);
      CHECK(fixture.sequence.account() == plain.sequence.account());
      CHECK(contents(fixture.sequence) == contents(plain.sequence));
      revoked += step > 2 ? 1 : 0;
      fill(plain.sequence, kept + 140);
      fill(fixture.sequence, kept + 140);
      REQUIRE(contents(fixture.sequence) == contents(plain.sequence));
    }
  }
  CHECK(revoked > 200);
}

TEST_CASE("a fork shares all it can and writes to nothing that is shared") {
  Fixture fixture;
  fill(fixture.sequence, 1000);
  const size_t used = fixture.pool.used();
  const auto fork = fixture.sequence.fork();
  CHECK(fixture.pool.used() == used);
  CHECK(fixture.pool.referenced() == 2 * used);
  CHECK(fork->shared_bytes() == used);
  CHECK(fork->account() == fixture.sequence.account());
  CHECK(contents(*fork) == contents(fixture.sequence));

  const std::vector<int32_t> other(300, 5);
  const auto before = contents(fixture.sequence);
  REQUIRE(test::append(*fork, 1000, other) == Status::ok);
  CHECK(contents(fixture.sequence) == before);
  CHECK(fork->shared_bytes() < used);
  fill(fixture.sequence, 1300);
  CHECK(contents(fixture.sequence) == straight(1300));
  CHECK(fork->truncate(1000) == 912);
  fork->truncate(0);
  CHECK(fixture.sequence.shared_bytes() == 0);
  CHECK(fixture.pool.used() == fixture.sequence.account().bytes());
}

TEST_CASE("a fork of the length held loses nothing") {
  Fixture fixture;
  fill(fixture.sequence, 1000);
  fixture.sequence.hold(1000);
  fill(fixture.sequence, 1900);
  const auto before = contents(fixture.sequence);
  const auto fork = fixture.sequence.fork(1000);
  CHECK(fork->length() == 1000);
  CHECK(contents(*fork) == straight(1000));
  CHECK(contents(fixture.sequence) == before);
  CHECK(fixture.sequence.account().bytes() + fork->account().bytes() == fixture.pool.referenced());
  // What is held no more is not there to be forked: whole blocks are.
  fixture.sequence.hold(cache::kNoHold);
  CHECK(fixture.sequence.fork(1000)->length() == 912);
}

TEST_CASE("compacting gives memory back and changes nothing else") {
  Fixture fixture;
  while (fixture.sequence.length() < 8192) REQUIRE(append(fixture.sequence, 4096) == Status::ok);
  const auto before = contents(fixture.sequence);
  const size_t used = fixture.pool.used();
  const size_t reserved = fixture.pool.reserved();
  fixture.sequence.compact();
  CHECK(contents(fixture.sequence) == before);
  CHECK(fixture.pool.used() == used);
  CHECK(fixture.pool.reserved() < reserved);
  fixture.sequence.truncate(0);
  CHECK(fixture.pool.reserved() == 0);
}

TEST_CASE("steps that do not fit the sequence are refused") {
  Fixture fixture;
  fill(fixture.sequence, 1000);
  const auto before = contents(fixture.sequence);
  const auto begin = [&](int32_t first, int32_t count) {
    return fixture.sequence.begin(0, first, count);
  };
  CHECK(begin(1001, 1) == Status::refused);  // a gap
  CHECK(begin(-1, 1) == Status::refused);
  CHECK(begin(600, 1) == Status::refused);  // inside a coded block
  CHECK(contents(fixture.sequence) == before);
  CHECK(test::append(fixture.sequence, 1000, {}) == Status::ok);
  CHECK(contents(fixture.sequence) == before);
  CHECK(test::append(fixture.sequence, 950, {1}) == Status::ok);  // cuts by itself where it can
  CHECK(fixture.sequence.length() == 951);
  CHECK_FALSE(fixture.sequence.configure(0, {4, 16}));

  Fixture h2o({.kind = PolicyKind::h2o, .window = 64});
  fill(h2o.sequence, 100);
  CHECK(h2o.sequence.step_limit() == 16 + 64 + 128 - 100);
  CHECK(h2o.sequence.begin(0, 100, 109) == Status::refused);
  CHECK(append(h2o.sequence, 108) == Status::ok);
}

TEST_CASE("only what may be dropped counts attention, and only where it is asked for") {
  Fixture fixture({.kind = PolicyKind::h2o, .sink = 16, .window = 64});
  fill(fixture.sequence, 16 + 64 + 128);
  REQUIRE(fixture.sequence.begin(0, 208, 5) == Status::ok);
  const attention::Received received = fixture.sequence.received(0);
  CHECK(received.first == 16 + 128);  // the first block is decided about by now
  CHECK(received.count == 64 + 5);
  REQUIRE(received.mass != nullptr);
  for (int32_t head = 0; head < 2; head++)
    for (int32_t t = 0; t < received.count; t++)
      CHECK(received.mass[head * received.stride + t] == 0.0f);
  fixture.sequence.abandon(0);
  CHECK(fixture.sequence.received(0).mass == nullptr);

  Fixture sink({.kind = PolicyKind::h2o, .sink = 128});
  REQUIRE(sink.sequence.begin(0, 0, 128) == Status::ok);
  CHECK(sink.sequence.received(0).mass == nullptr);
  Fixture plain;
  REQUIRE(plain.sequence.begin(0, 0, 128) == Status::ok);
  CHECK(plain.sequence.received(0).mass == nullptr);
}

TEST_CASE("the kinds of tokens, as the caller weighs them, decide which are kept") {
  Fixture fixture({.kind = PolicyKind::importance,
                   .sink = 0,
                   .window = 0,
                   .keep = 0.25f,
                   .weights = {0, 0, 1}});
  std::vector<float> weights(128, 0.0f);
  for (size_t t = 0; t < 128; t += 4) weights[t] = 2.0f;  // as 1
  fixture.sequence.set_kind_weights(0, weights);
  fill(fixture.sequence, 129);
  const attention::Block& block = fixture.sequence.blocks(0)[0];
  REQUIRE(block.copies[0].tokens == 32);
  for (int32_t i = 0; i < 32; i++)
    CHECK(attention::position_of(block, block.copies[0], 1, i) == 4 * i);
}

TEST_CASE(
    "a budget is kept while a sequence grows, steps included, until all is at the last level") {
  constexpr size_t kBudget = size_t{400} << 10;
  const Policy policy{.kind = PolicyKind::automatic, .window = 128, .budget = kBudget, .step = 256};
  Fixture fixture(policy, kBudget);  // the pool would refuse a byte more
  Status status = Status::ok;
  std::set<size_t> tiers;
  while (status == Status::ok) {
    status = append(fixture.sequence, 256);
    tiers.insert(fixture.sequence.account().coded.size());
  }
  CHECK(status == Status::exhausted);
  CHECK(tiers.size() > 1);
  const Account account = fixture.sequence.account();
  REQUIRE(account.coded.size() == 1);
  CHECK(account.coded[0].tier == attention::Tier{Format::int4, Format::int4});
  CHECK(contents(fixture.sequence) == straight(fixture.sequence.length(), policy));
}

TEST_CASE("a step without room for two forms of a block finds it coded before") {
  const Policy policy{
      .kind = PolicyKind::automatic, .window = 128, .budget = size_t{300} << 10, .step = 16};
  Fixture fixture(policy, policy.budget);
  fill(fixture.sequence, 900);
  // Ever longer steps, for which the policy has not left room.
  int32_t made = 0;
  for (int32_t count = 32; count < 256; count += 32) {
    Status status = append(fixture.sequence, count);
    if (status == Status::exhausted &&
        fixture.sequence.make_room(fixture.sequence.length() + count)) {
      status = append(fixture.sequence, count);
      made++;
    }
    if (status == Status::exhausted) break;
    CHECK(fixture.pool.used() == fixture.sequence.account().bytes());
  }
  CHECK(made > 0);
  CHECK_FALSE(Fixture().sequence.make_room(100));
}

TEST_CASE("a new budget applies at once, and what is coded stays coded") {
  Policy policy{.kind = PolicyKind::automatic, .window = 128, .step = 256};
  Fixture fixture(policy);
  fill(fixture.sequence, 2000);
  CHECK(fixture.sequence.account().coded.empty());
  for (const size_t kib : {600, 500, 400}) {
    REQUIRE(fixture.sequence.set_budget(kib << 10) == Status::ok);
    CHECK(fixture.pool.used() <= kib << 10);
    policy.budget = kib << 10;
    CHECK(contents(fixture.sequence) == straight(2000, policy));
  }
  const auto before = contents(fixture.sequence);
  REQUIRE(fixture.sequence.set_budget(0) == Status::ok);
  CHECK(contents(fixture.sequence) == before);
}

TEST_CASE("what is held for a rollback follows a smaller budget") {
  Policy policy{
      .kind = PolicyKind::automatic, .window = 128, .budget = size_t{500} << 10, .step = 16};
  Fixture fixture(policy);
  fill(fixture.sequence, 1000);
  fixture.sequence.hold(1000);
  fill(fixture.sequence, 1300);
  policy.budget = size_t{250} << 10;
  REQUIRE(fixture.sequence.set_budget(policy.budget) == Status::ok);
  REQUIRE(fixture.sequence.truncate(1000) == 1000);
  CHECK(contents(fixture.sequence) == straight(1000, policy));
  for (const attention::Block& block : fixture.sequence.blocks(0)) CHECK(block.count == 1);
}

TEST_CASE("a fork of a sequence that holds one slot in two forms") {
  Fixture fixture(
      {.kind = PolicyKind::selective, .window = 64, .layers = {{0, Format::fp16, Format::fp16}}});
  fill(fixture.sequence, 500);
  fixture.sequence.hold(500);
  fill(fixture.sequence, 900);
  CHECK(fixture.sequence.blocks(0)[5].count == 2);
  CHECK(fixture.sequence.account().bytes() == fixture.pool.used());
  auto fork = fixture.sequence.fork();
  CHECK(fork->blocks(0)[5].count == 1);
  CHECK(fixture.sequence.account().bytes() + fork->account().bytes() == fixture.pool.referenced());
  fork.reset();
  CHECK(fixture.pool.referenced() == fixture.pool.used());
  fixture.sequence.truncate(0);
  CHECK(fixture.pool.used() == 0);
}

TEST_CASE("where there is no room to code under a new budget, later steps do it") {
  Policy policy{.kind = PolicyKind::automatic, .window = 128, .step = 256};
  Fixture fixture(policy);
  fill(fixture.sequence, 1500);
  auto fork = fixture.sequence.fork();  // coding frees nothing
  fixture.pool.set_budget(fixture.pool.used() + (size_t{20} << 10));
  CHECK(fixture.sequence.set_budget(size_t{300} << 10) == Status::exhausted);
  CHECK(contents(*fork) == straight(1500, policy));
  CHECK(fixture.sequence.account().bytes() + fork->account().bytes() == fixture.pool.referenced());
  // With room for some of the blocks that are due, but not for all: none is left half coded.
  const auto before = contents(fixture.sequence);
  fixture.pool.set_budget(fixture.pool.used() + (size_t{60} << 10));
  CHECK(append(fixture.sequence, 1) == Status::exhausted);
  CHECK(contents(fixture.sequence) == before);
  CHECK(fixture.sequence.account().bytes() + fork->account().bytes() == fixture.pool.referenced());
  fork.reset();
  fixture.pool.set_budget(0);
  fill(fixture.sequence, 1501);
  policy.budget = size_t{300} << 10;
  CHECK(contents(fixture.sequence) == straight(1501, policy));
}

TEST_CASE("keys and values of different heads may be stored at the same time") {
  const Policy policy{.kind = PolicyKind::hierarchical, .sink = 16, .window = 100, .span = 150};
  Pool pool;
  Sequence sequence(policy, pool);
  const cache::Geometry geometry{4, 16};
  REQUIRE(sequence.configure(0, geometry));
  Model model(policy, {geometry});
  for (const int32_t count : {300, 1, 700, 129}) {
    const int32_t first = sequence.length();
    REQUIRE(sequence.begin(0, first, count) == Status::ok);
    std::vector<std::thread> threads;
    for (int32_t head = 0; head < geometry.kv_heads; head++)
      for (const cache::Side side : {cache::Side::keys, cache::Side::values})
        threads.emplace_back([&, head, side] {
          std::vector<float> rows;
          for (int32_t i = 0; i < count; i++)
            for (int32_t c = 0; c < geometry.head_dim; c++)
              rows.push_back(test::element(first + i, 0, side, head, c));
          const attention::Rows all{rows.data(), static_cast<size_t>(geometry.head_dim), count};
          side == cache::Side::keys ? sequence.store_keys(0, head, all)
                                    : sequence.store_values(0, head, all);
        });
    for (std::thread& thread : threads) thread.join();
    sequence.commit(0);
    for (int32_t i = 0; i < count; i++) model.append(first + i);
  }
  size_t index = 0;
  const auto held = contents(sequence);
  for (const Model::Block& block : model.blocks())
    for (const Model::Head& head : block.form().layers[0]) REQUIRE(held[index++] == head);
  CHECK(index == held.size());
}
