// Any sequence of operations agrees with the straightforward model, element for element and byte
// for byte of the account.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "model.h"
#include "policies.h"
#include "tokens.h"

using namespace sightline;
using cache::Policy;
using cache::PolicyKind;
using cache::Pool;
using cache::Rollback;
using cache::Sequence;
using cache::Status;
using test::Geometries;
using test::kSmall;
using test::Model;
using test::policies;

namespace {

struct Pair {
  std::unique_ptr<Sequence> sequence;
  Model model;
  int32_t hold = cache::kNoHold;
};

Pair make(const Policy& policy, Pool& pool, const Geometries& geometries) {
  Pair pair{std::make_unique<Sequence>(policy, pool), Model(policy, geometries)};
  for (size_t i = 0; i < geometries.size(); i++)
    REQUIRE(pair.sequence->configure(static_cast<int32_t>(i), geometries[i]));
  return pair;
}

void check_contents(const Pair& pair) {
  const Sequence& sequence = *pair.sequence;
  REQUIRE(sequence.length() == pair.model.length());
  for (int32_t l = 0; l < sequence.layers(); l++) {
    const auto blocks = sequence.blocks(l);
    const auto& expected = pair.model.blocks();
    REQUIRE(blocks.size() == expected.size());
    const cache::Geometry g = sequence.layer(l).geometry();
    for (size_t b = 0; b < blocks.size(); b++) {
      REQUIRE(blocks[b].first == expected[b].first);
      REQUIRE(blocks[b].tokens == expected[b].tokens);
      REQUIRE(static_cast<size_t>(blocks[b].count) == expected[b].forms.size());
      for (size_t f = 0; f < expected[b].forms.size(); f++) {
        const auto& form = expected[b].forms[f];
        const auto& heads = form.layers[static_cast<size_t>(l)];
        const attention::Copy& copy = blocks[b].copies[f];
        REQUIRE(sequence.layer(l).entries()[b].level[f] == form.level);
        if (f > 0) REQUIRE(copy.from == form.from);
        REQUIRE((copy.data == nullptr) == heads.empty());
        for (size_t h = 0; h < heads.size(); h++)
          REQUIRE(Model::head_of(g, blocks[b], copy, static_cast<int32_t>(h)) == heads[h]);
      }
    }
  }
}

/// Counted anew, slot by slot.
void check_account(const Pair& pair) {
  const Sequence& sequence = *pair.sequence;
  const cache::Account account = sequence.account();
  const auto levels = cache::ladder(sequence.policy());
  std::vector<size_t> bytes(levels.size());
  size_t sink_bytes = 0, fp16_bytes = 0;
  int64_t dropped = 0;
  for (int32_t l = 0; l < sequence.layers(); l++) {
    const cache::Geometry g = sequence.layer(l).geometry();
    fp16_bytes += static_cast<size_t>(sequence.length() * g.kv_heads * g.head_dim) * 4;
    for (size_t b = 0; b < sequence.blocks(l).size(); b++) {
      const attention::Block& block = sequence.blocks(l)[b];
      std::set<const std::byte*> seen{nullptr};
      for (size_t c = 0; c < static_cast<size_t>(block.count); c++) {
        if (!seen.insert(block.copies[c].data).second) continue;
        const size_t slot = cache::slot_bytes(g, block.copies[c]);
        (block.first < sequence.policy().sink ? sink_bytes
                                              : bytes[sequence.layer(l).entries()[b].level[c]]) +=
            slot;
      }
      dropped += block.tokens - block.copy(sequence.length()).tokens;
    }
  }
  REQUIRE(account.sink.bytes == sink_bytes);
  REQUIRE(account.window.bytes == bytes[0]);
  size_t sum = sink_bytes + bytes[0];
  int64_t tokens = account.sink.tokens + account.window.tokens + account.dropped_tokens;
  for (const auto& coded : account.coded) {
    const auto level = std::find(levels.begin() + 1, levels.end(), cache::Level{coded.tier});
    REQUIRE(level != levels.end());
    REQUIRE(coded.bytes == bytes[static_cast<size_t>(level - levels.begin())]);
    sum += coded.bytes;
    tokens += coded.tokens;
  }
  REQUIRE(account.bytes() == sum);
  REQUIRE(account.tokens == sequence.length());
  REQUIRE(tokens == account.tokens);
  REQUIRE(account.fp16_bytes == fp16_bytes);
  REQUIRE(account.degraded_tokens == pair.model.degraded());
  REQUIRE(account.dropped_tokens ==
          (dropped + sequence.layers() / 2) / std::max(1, sequence.layers()));
}

/// The pool has handed out what the sequences hold, each slot once.
void check_pool(const Pool& pool, const std::vector<Pair>& pairs) {
  std::map<const std::byte*, std::pair<size_t, int>> slots;
  size_t referenced = 0;
  for (const Pair& pair : pairs)
    for (int32_t l = 0; l < pair.sequence->layers(); l++)
      for (const attention::Block& block : pair.sequence->blocks(l)) {
        std::set<const std::byte*> own;
        for (const attention::Copy& copy : block.held())
          if (copy.data != nullptr && own.insert(copy.data).second) {
            const size_t bytes = cache::slot_bytes(pair.sequence->layer(l).geometry(), copy);
            slots[copy.data].first = bytes;
            slots[copy.data].second++;
            referenced += bytes;
          }
      }
  size_t used = 0, shared = 0;
  for (const auto& [slot, held] : slots) {
    used += held.first;
    if (held.second > 1) shared += held.first * static_cast<size_t>(held.second);
  }
  REQUIRE(pool.used() == used);
  REQUIRE(pool.referenced() == referenced);
  size_t told = 0;
  for (const Pair& pair : pairs) told += pair.sequence->shared_bytes();
  REQUIRE(told == shared);
}

/// Appends in one step; queries within it read what they would have read token by token.
Status step(Pair& pair, std::mt19937& random, int32_t count, bool finish) {
  count = std::min(count, pair.sequence->step_limit());
  const int32_t first = pair.model.length();
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 1000);
  const std::set<int32_t> looked{first + 1 + static_cast<int32_t>(random() % tokens.size()),
                                 first + 1 + static_cast<int32_t>(random() % tokens.size()),
                                 first + count};
  return test::append(*pair.sequence, first, tokens, [&] {
    Model model = pair.model;
    for (int32_t visible = first + 1; visible <= first + count; visible++) {
      model.append(tokens[static_cast<size_t>(visible - first - 1)]);
      if (!looked.contains(visible)) continue;
      for (int32_t l = 0; l < pair.sequence->layers(); l++) {
        const cache::Geometry g = pair.sequence->layer(l).geometry();
        for (const Model::Block& expected : model.blocks()) {
          const auto blocks = pair.sequence->blocks(l);
          const auto block = std::find_if(blocks.begin(), blocks.end(),
                                          [&](const auto& b) { return b.first == expected.first; });
          REQUIRE(block != blocks.end());
          attention::Copy copy = block->copy(visible);
          if (expected.form().level == 0) copy.tokens = expected.tokens;
          const auto& heads = expected.form().layers[static_cast<size_t>(l)];
          REQUIRE((copy.data == nullptr) == heads.empty());
          if (!heads.empty()) REQUIRE(Model::head_of(g, *block, copy, 0) == heads[0]);
        }
      }
    }
    if (finish) pair.model = std::move(model);
    return finish;
  });
}

struct Options {
  int operations = 40;
  uint32_t longest_step = 300;
  int32_t longest = 1500;
  size_t pool_budget = 0;
};

void run(const Policy& policy, const Geometries& geometries, uint32_t seed,
         const Options& options = {}) {
  CAPTURE(cache::name_of(policy.kind));
  CAPTURE(seed);
  REQUIRE_FALSE(cache::fault_of(policy));
  std::mt19937 random(seed);
  const auto below = [&](int32_t n) {
    return static_cast<int32_t>(random() % static_cast<uint32_t>(std::max(n, 1)));
  };
  Pool pool(options.pool_budget);
  int exhausted = 0;
  const auto append = [&](Pair& pair, int32_t count, bool finish) {
    const Status status = step(pair, random, count, finish);
    if (status == Status::ok) return;
    REQUIRE(status == Status::exhausted);
    REQUIRE(options.pool_budget > 0);
    exhausted++;
  };
  std::vector<Pair> pairs;
  pairs.push_back(make(policy, pool, geometries));
  for (int operation = 0; operation < options.operations; operation++) {
    const auto chosen = static_cast<size_t>(below(static_cast<int32_t>(pairs.size())));
    Pair& pair = pairs[chosen];
    const int32_t length = pair.model.length();
    switch (below(12)) {
      case 0:
      case 1: {
        const auto rollback = below(2) == 0 ? Rollback::exact : Rollback::reopen;
        const int32_t target = below(3) == 0 ? below(length + 1) : length - below(200);
        const int32_t kept = pair.sequence->truncate(std::max(target, 0), rollback);
        REQUIRE(kept > std::max(target, 0) - attention::kBlockTokens);
        const int32_t expected = pair.model.truncate(std::max(target, 0), rollback);
        // Where there is no memory to decode a block, it is dropped.
        if (kept != expected) {
          REQUIRE(options.pool_budget > 0);
          REQUIRE(pair.model.truncate(kept, Rollback::exact) == kept);
          exhausted++;
        }
        break;
      }
      case 2: {
        const int32_t at = below(2) == 0 ? cache::kNoHold : std::max(0, length - below(3));
        pair.sequence->hold(at);
        pair.model.hold(at);
        pair.hold = at;
        break;
      }
      case 3:
        if (pair.hold <= length) {
          const int32_t kept = pair.sequence->truncate(pair.hold);
          REQUIRE(kept == pair.model.truncate(pair.hold, Rollback::exact));
        }
        break;
      case 4:
        if (pairs.size() < 3) {
          pairs.push_back({pair.sequence->fork(), pair.model.fork()});
        } else {
          pairs.erase(pairs.begin() + below(3));
        }
        break;
      case 5:
        pair.sequence->compact();
        break;
      case 6:
        if (policy.kind == PolicyKind::automatic && options.pool_budget == 0) {
          if (below(2) == 0) {
            const auto budget = static_cast<size_t>(below(600)) << 10;
            REQUIRE(pair.sequence->set_budget(budget) == Status::ok);
            pair.model.set_budget(budget);
          } else {
            const int32_t end = length + below(300);
            REQUIRE(pair.sequence->make_room(end));
            pair.model.make_room(end);
          }
        }
        break;
      case 7:
        append(pair, 1 + below(100), false);
        break;
      default:
        if (length < options.longest)
          append(pair, 1 + static_cast<int32_t>(random() % options.longest_step), true);
    }
    // What an operation does to the other sequences shows as well when some more were done.
    const bool looks_at_all = operation % 4 == 3 || operation + 1 == options.operations;
    for (size_t i = 0; i < pairs.size(); i++) {
      if (looks_at_all || i == chosen) check_contents(pairs[i]);
      check_account(pairs[i]);
    }
    check_pool(pool, pairs);
  }
  pairs.clear();
  REQUIRE(pool.used() == 0);
  REQUIRE(pool.reserved() == 0);
  REQUIRE((exhausted > 0) == (options.pool_budget > 0));
}

}  // namespace

TEST_CASE("any operations on sequences agree with a plain list of tokens") {
  for (const Policy& policy : policies())
    for (uint32_t seed = 0; seed < 4; seed++) run(policy, kSmall, seed);
}

TEST_CASE("head sizes make no difference") {
  const Options few{.operations = 12, .longest = 700};
  for (const int32_t head_dim : {80, 256})
    for (const Policy& policy : policies())
      if (policy.kind != PolicyKind::lowrank || head_dim < 256)
        run(policy, {{1, head_dim}, {2, head_dim}, {1, head_dim}}, 1, few);
}

TEST_CASE("where the pool is exhausted, nothing is lost") {
  const Options tight{.operations = 60, .pool_budget = size_t{150} << 10};
  for (const Policy& policy : policies())
    if (policy.kind != PolicyKind::compressed)  // needs no more
      for (uint32_t seed = 0; seed < 2; seed++) run(policy, kSmall, seed, tight);
}
