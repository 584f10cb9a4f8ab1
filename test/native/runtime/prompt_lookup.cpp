#include "runtime/prompt_lookup.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace sightline::runtime;

namespace {

using Text = std::vector<llama_token>;

constexpr StepCosts kCheap{{1, 1, 1, 1}};
constexpr StepCosts kUsual{{1.2f, 1.5f, 2, 3.5f}};
constexpr StepCosts kDear{{2, 4, 8, 16}};

Text text_of(int length, llama_token letters, uint32_t seed) {
  std::mt19937 random(seed);
  Text text(static_cast<size_t>(length));
  for (llama_token& token : text) token = static_cast<llama_token>(random()) & 0xffff;
  for (llama_token& token : text) token %= letters;
  return text;
}

/// Every earlier place, compared token by token.
Repeat reference(const Text& text) {
  const auto length = static_cast<int32_t>(text.size());
  Repeat best;
  for (int32_t next = length - 1; next > 0; next--) {
    int32_t matched = 0;
    while (matched < std::min(next, kMostMatched) &&
           text[static_cast<size_t>(next - 1 - matched)] ==
               text[static_cast<size_t>(length - 1 - matched)])
      matched++;
    if (matched >= kLeastMatched && matched > best.length) best = {matched, next};
  }
  return best;
}

Text repeated(const Text& text, int times) {
  Text all;
  for (int i = 0; i < times; i++) all.insert(all.end(), text.begin(), text.end());
  return all;
}

}  // namespace

TEST_CASE("the longest n-gram that occurred before is found, the latest of several") {
  int found = 0;
  for (uint32_t seed = 0; seed < 400; seed++) {
    Text text = text_of(static_cast<int>(seed), static_cast<llama_token>(1 + seed % 7), seed);
    const auto start = static_cast<ptrdiff_t>(seed) / 3;
    // Long repeats, too.
    if (seed % 2 == 0) text.insert(text.end(), text.begin() + start / 2, text.begin() + start);
    const Repeat expected = reference(text);
    const Repeat repeat = find_repeat(text);
    CHECK(repeat.length == expected.length);
    CHECK(repeat.next == expected.next);
    found += repeat.length > 6 ? 1 : 0;
  }
  CHECK(found > 50);
  CHECK(find_repeat({}).length == 0);
}

TEST_CASE("what followed is drafted, and goes on where it reaches the end") {
  const PromptLookup lookup(kCheap);
  const Text words = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  Text text = words;
  text.insert(text.end(), {1, 2, 3});
  CHECK(lookup.draft(text, 4) == Text{4, 5, 6, 7});
  CHECK(lookup.draft(text, 12) == Text{4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6});
  CHECK(lookup.draft(text, 100).size() == PromptLookup::kMostDrafted);
  CHECK(lookup.draft(text, 0).empty());
  CHECK(lookup.draft(words, 10).empty());
}

TEST_CASE("a draft is as long as its costs and its n-gram warrant") {
  const auto drafted = [](const StepCosts& costs, int matched) {
    Text text = text_of(200, 1 << 15, 1);
    text.insert(text.end(), text.begin(), text.begin() + matched);
    return PromptLookup(costs).draft(text, PromptLookup::kMostDrafted).size();
  };
  CHECK(drafted(kCheap, 2) == 15);
  CHECK(drafted(kUsual, 1) == 0);
  CHECK(drafted(kUsual, 2) > 0);
  CHECK(drafted(kUsual, 32) > drafted(kUsual, 2));
  CHECK(drafted(kDear, 32) == 0);
}

TEST_CASE("drafts that are always wrong cost little, and right ones are made again") {
  const Text text = repeated(text_of(40, 1000, 1), 3);
  for (const StepCosts& costs : {kCheap, kUsual, StepCosts{{2.8f, 4, 4.2f, 6}}}) {
    PromptLookup lookup(costs);
    double spent = 0;
    constexpr int kTokens = 1000;
    for (int token = 0; token < kTokens; token++) {
      const auto drafted = static_cast<int32_t>(lookup.draft(text, 15).size());
      const auto size =
          std::lower_bound(StepCosts::kSizes.begin(), StepCosts::kSizes.end(), drafted + 1);
      if (drafted > 0)
        spent += costs.cost[static_cast<size_t>(size - StepCosts::kSizes.begin())] - 1;
      lookup.note(drafted, 0);
    }
    CHECK(spent <= kTokens / 32.0 + 1 + costs.cost.back());
    for (int step = 0; step < 300; step++) lookup.note(0, 0);
    CHECK_FALSE(lookup.draft(text, 15).empty());
    for (int step = 0; step < 10; step++) {
      const auto drafted = static_cast<int32_t>(lookup.draft(text, 15).size());
      CHECK(drafted > 0);
      lookup.note(drafted, drafted);
    }
  }
}
