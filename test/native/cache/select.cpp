#include "cache/select.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "attention/block.h"

using namespace sightline;
using cache::Policy;
using cache::PolicyKind;
using cache::Selection;

namespace {

constexpr size_t kTokens = attention::kBlockTokens;

const std::vector<float> kEven(kTokens, 0.5f);

std::set<int32_t> head(const Selection& selection, int32_t index) {
  const auto first = selection.tokens.begin() + index * selection.count;
  CHECK(std::is_sorted(first, first + selection.count));
  return {first, first + selection.count};
}

}  // namespace

TEST_CASE("h2o keeps what received most, for every KV head its own") {
  const Policy policy{.kind = PolicyKind::h2o, .keep = 0.25f};
  std::vector<float> mass(2 * kTokens);
  for (size_t t = 0; t < kTokens; t++) {
    mass[t] = t % 4 == 1 ? 2.0f : 1.0f;
    mass[kTokens + t] = static_cast<float>(t);
  }
  const Selection selection = cache::select(policy, mass, kEven);
  CHECK(selection.count == 32);
  for (const int32_t t : head(selection, 0)) CHECK(t % 4 == 1);
  CHECK(*head(selection, 1).begin() == 96);
}

TEST_CASE("shares are rounded up to what kernels load") {
  const std::vector<float> mass(kTokens, 1.0f);
  for (const auto& [keep, count] :
       {std::pair{0.001f, 16}, {0.125f, 16}, {0.126f, 32}, {0.9f, 128}, {1.0f, 128}})
    CHECK(cache::select({.kind = PolicyKind::h2o, .keep = keep}, mass, kEven).count == count);
  // Of equals, the newer.
  CHECK(*head(cache::select({.kind = PolicyKind::h2o, .keep = 0.1f}, mass, kEven), 0).begin() ==
        112);
}

TEST_CASE("attention drops what received far less than the mean") {
  const Policy policy{.kind = PolicyKind::attention, .threshold = 0.5f};
  std::vector<float> mass(2 * kTokens, 0.01f);
  for (size_t t = 0; t < 40; t++) mass[3 * t] = 1.0f;
  for (size_t t = 0; t < kTokens; t++) mass[kTokens + t] = t == 5 ? 1.0f : 0.0f;
  const Selection selection = cache::select(policy, mass, kEven);
  CHECK(selection.count == 48);  // 40 in the first head, one in the second
  for (int32_t t = 0; t < 40; t++) CHECK(head(selection, 0).contains(3 * t));
  CHECK(head(selection, 1).contains(5));
  CHECK(cache::select(policy, std::vector<float>(kTokens, 0.0f), kEven).count == 128);
}

TEST_CASE("importance weighs attention, recency and kind") {
  std::vector<float> mass(kTokens, 1.0f), kinds(kTokens, 0.0f);
  mass[3] = 10.0f;
  kinds[7] = 1.0f;
  const auto kept = [&](cache::Weights weights) {
    return head(cache::select({.kind = PolicyKind::importance, .keep = 0.1f, .weights = weights},
                              mass, kinds),
                0);
  };
  CHECK(*kept({0, 1, 0}).begin() == 112);
  CHECK(kept({1, 0, 0}).contains(3));
  CHECK_FALSE(kept({1, 0, 0}).contains(7));
  CHECK(kept({0, 0, 1}).contains(7));
  CHECK_FALSE(kept({0, 0, 1}).contains(3));
  // 0.4 + 0.3 * 3/127 for attention against at most 0.04 + 0.3: the default weights.
  CHECK(kept({}).contains(3));
}

TEST_CASE("sums that are no numbers count as none") {
  std::vector<float> mass(kTokens, 1.0f);
  for (size_t t = 64; t < kTokens; t++) mass[t] = std::numeric_limits<float>::quiet_NaN();
  const auto kept = head(cache::select({.kind = PolicyKind::h2o, .keep = 0.5f}, mass, kEven), 0);
  CHECK(*kept.rbegin() == 63);
}
