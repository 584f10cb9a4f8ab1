#include "cache/hash.h"

#include <doctest/doctest.h>

#include <random>
#include <string_view>
#include <vector>

using sightline::cache::Hash64;

namespace {

uint64_t hash_of(std::string_view text) {
  Hash64 hash;
  hash.add(std::as_bytes(std::span(text)));
  return hash.value();
}

}  // namespace

TEST_CASE("known values of XXH64") {
  CHECK(hash_of("") == 0xef46db3751d8e999u);
  CHECK(hash_of("a") == 0xd24ec4f1a98c6e5bu);
  CHECK(hash_of("abc") == 0x44bc2cf5ad770999u);
  CHECK(hash_of("Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1u);
}

TEST_CASE("it makes no difference how the bytes are cut") {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(300);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  for (size_t size = 0; size <= bytes.size(); size++) {
    Hash64 whole, parts;
    whole.add(std::span(bytes).first(size));
    for (size_t at = 0; at < size;) {
      const size_t count = std::min<size_t>(size - at, random() % 70);
      parts.add(std::span(bytes).subspan(at, count));
      at += count;
    }
    REQUIRE(whole.value() == parts.value());
  }
}
