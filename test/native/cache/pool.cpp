#include "cache/pool.h"

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "cache/pages.h"

using sightline::cache::Pool;

TEST_CASE("slots are distinct, aligned and counted to the byte") {
  Pool pool;
  std::vector<std::byte*> slots;
  for (int i = 0; i < 100; i++) {
    slots.push_back(pool.allocate(33792));
    REQUIRE(slots.back() != nullptr);
    REQUIRE(reinterpret_cast<uintptr_t>(slots.back()) % 64 == 0);
    std::memset(slots.back(), i, 33792);
  }
  CHECK(pool.used() == size_t{100} * 33792);
  CHECK(pool.reserved() >= pool.used());
  for (int i = 0; i < 100; i++) {
    const auto expected = static_cast<std::byte>(i);
    REQUIRE(slots[static_cast<size_t>(i)][0] == expected);
    REQUIRE(slots[static_cast<size_t>(i)][33791] == expected);
    pool.release(slots[static_cast<size_t>(i)], 33792);
  }
  CHECK(pool.used() == 0);
  CHECK(pool.reserved() == 0);
}

TEST_CASE("the budget bounds what is handed out") {
  Pool pool(10000);
  std::byte* first = pool.allocate(6000);
  CHECK(first != nullptr);
  CHECK(pool.allocate(6000) == nullptr);
  std::byte* second = pool.allocate(4000);
  CHECK(second != nullptr);
  CHECK_FALSE(pool.has_room(1));
  pool.release(first, 6000);
  CHECK(pool.used() == 4000);
  CHECK(pool.allocate(6001) == nullptr);
  pool.release(second, 4000);
}

TEST_CASE("a slot is free once the last reference is gone") {
  Pool pool(5000);
  std::byte* slot = pool.allocate(3000);
  CHECK_FALSE(pool.is_shared(slot, 3000));
  pool.retain(slot, 3000);
  pool.retain(slot, 3000);
  CHECK(pool.is_shared(slot, 3000));
  CHECK(pool.used() == 3000);
  CHECK(pool.referenced() == 9000);
  slot[2999] = std::byte{7};
  pool.release(slot, 3000);
  pool.release(slot, 3000);
  CHECK_FALSE(pool.is_shared(slot, 3000));
  CHECK(slot[2999] == std::byte{7});
  CHECK(pool.allocate(3000) == nullptr);
  pool.release(slot, 3000);
  CHECK(pool.used() == 0);
  CHECK(pool.referenced() == 0);
  CHECK(pool.reserved() == 0);
}

TEST_CASE("a budget below what is handed out has no room, and takes nothing away") {
  Pool pool;
  std::byte* slot = pool.allocate(3000);
  pool.set_budget(2000);
  CHECK_FALSE(pool.has_room(0));
  CHECK(pool.allocate(64) == nullptr);
  pool.release(slot, 3000);
  slot = pool.allocate(2000);
  CHECK(slot != nullptr);
  pool.release(slot, 2000);
}

TEST_CASE("any sequence of calls leaves contents alone and the counts right") {
  for (uint32_t seed = 0; seed < 20; seed++) {
    std::mt19937 random(seed);
    Pool pool;
    std::map<std::byte*, std::pair<size_t, uint8_t>> held;
    size_t used = 0;
    for (int step = 0; step < 2000; step++) {
      if (held.empty() || random() % 5 != 0) {
        const size_t bytes = size_t{1000} << random() % 8;
        std::byte* slot = pool.allocate(bytes);
        REQUIRE(slot != nullptr);
        const auto mark = static_cast<uint8_t>(random());
        REQUIRE(held.emplace(slot, std::pair{bytes, mark}).second);
        std::memset(slot, mark, bytes);
        used += bytes;
      } else {
        auto it = held.begin();
        std::advance(it, random() % held.size());
        const auto [bytes, mark] = it->second;
        REQUIRE(std::all_of(it->first, it->first + bytes,
                            [&](std::byte b) { return b == static_cast<std::byte>(mark); }));
        pool.release(it->first, bytes);
        used -= bytes;
        held.erase(it);
      }
      REQUIRE(pool.used() == used);
      REQUIRE(pool.reserved() >= used);
    }
    for (const auto& [slot, what] : held) pool.release(slot, what.first);
    REQUIRE(pool.reserved() == 0);
  }
}

TEST_CASE("a request the system cannot serve fails and changes nothing") {
  Pool pool;
  CHECK(pool.allocate(size_t{1} << 62) == nullptr);
  CHECK(pool.used() == 0);
  CHECK(pool.reserved() == 0);
}
