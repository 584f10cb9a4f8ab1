#include "runtime/prompt_lookup.h"

#include <algorithm>

namespace sightline::runtime {
namespace {

// A token drafted behind a repeated n-gram of n tokens is right in n of n + kDoubt cases, and the
// n-gram is one longer for the next. Measured on code: docs/benchmarks.md.
constexpr float kDoubt = 3;
/// Tokens that a step has to be expected to give in the time of one, or it is not worth its risk.
constexpr float kLeastGain = 1.1f;

// Drafts are paid from a balance, in steps of one token: it pays what a step takes besides and gets
// the tokens that were right. Every token written adds a small share, so that drafts that are
// always wrong cost that share and one draft.
constexpr float kFirstBalance = 1;
constexpr float kMostBalance = 4;
constexpr float kShare = 1.0f / 32;

/// What a step of a token and a draft takes.
float cost_of(const StepCosts& costs, int32_t drafted) {
  const auto size =
      std::lower_bound(StepCosts::kSizes.begin(), StepCosts::kSizes.end(), drafted + 1);
  return costs.cost[static_cast<size_t>(size - StepCosts::kSizes.begin())];
}

}  // namespace

Repeat find_repeat(std::span<const llama_token> text) {
  const auto length = static_cast<int32_t>(text.size());
  const auto at = [&](int32_t index) { return text[static_cast<size_t>(index)]; };
  Repeat best;
  if (length < kLeastMatched) return best;
  const llama_token last = text.back();
  const llama_token before = at(length - 2);
  for (int32_t end = length - 2; end > 0 && best.length < kMostMatched; end--) {
    if (at(end) != last || at(end - 1) != before) continue;
    int32_t matched = 2;
    const int32_t most = std::min(end + 1, kMostMatched);
    while (matched < most && at(end - matched) == at(length - 1 - matched)) matched++;
    if (matched > best.length) best = {matched, end + 1};
  }
  return best;
}

PromptLookup::PromptLookup(const StepCosts& costs) : costs_(costs), balance_(kFirstBalance) {}

/// As many as give most tokens for the time, by what is expected.
int32_t PromptLookup::worth_drafting(int32_t matched, int32_t room) const {
  if (matched < kLeastMatched || balance_ < 0) return 0;
  float best = kLeastGain;
  int32_t worth = 0;
  float expected = 1;
  float likely = 1;  // that all so far are right
  auto n = static_cast<float>(matched);
  int32_t drafted = 0;
  for (size_t i = 0; i < StepCosts::kSizes.size(); i++) {
    for (; drafted < std::min(StepCosts::kSizes[i] - 1, room); drafted++, n++) {
      likely *= n / (n + kDoubt);
      expected += likely;
    }
    if (expected / costs_.cost[i] <= best) continue;
    best = expected / costs_.cost[i];
    worth = drafted;
  }
  return worth;
}

std::vector<llama_token> PromptLookup::draft(std::span<const llama_token> text,
                                             int32_t room) const {
  if (room <= 0 || balance_ < 0) return {};
  const Repeat repeat = find_repeat(text);
  std::vector<llama_token> draft(static_cast<size_t>(worth_drafting(repeat.length, room)));
  // Where what followed reaches the end of the text it repeats itself.
  const size_t period = text.size() - static_cast<size_t>(repeat.next);
  for (size_t i = 0; i < draft.size(); i++)
    draft[i] = text[static_cast<size_t>(repeat.next) + i % period];
  return draft;
}

void PromptLookup::note(int32_t drafted, int32_t accepted) {
  balance_ += kShare * static_cast<float>(accepted + 1);
  if (drafted > 0) balance_ += static_cast<float>(accepted) - (cost_of(costs_, drafted) - 1);
  balance_ = std::min(balance_, kMostBalance);
}

}  // namespace sightline::runtime
