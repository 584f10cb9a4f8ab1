#pragma once
// Drafts for speculative decoding, by prompt lookup: what followed an earlier occurrence of the
// tokens at the end is likely to follow again. No second model.
//
// How long a draft is, and whether one is made, is weighed in steps: one unit is the time of a step
// of one token, and what a step of several takes was measured.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "llama.h"

namespace sightline::runtime {

/// Times of steps of several tokens, in times of a step of one.
struct StepCosts {
  /// The larger ones as kernels take their rows.
  static constexpr std::array<int32_t, 4> kSizes = {2, 4, 8, 16};
  std::array<float, kSizes.size()> cost;  // of kSizes
};

/// The longest n-gram at the end of a text that occurred before.
struct Repeat {
  int32_t length = 0;
  int32_t next = 0;  // where what followed it begins
};

/// Of several as long the latest one; n-grams longer than kMostMatched count as that long.
Repeat find_repeat(std::span<const llama_token> text);
inline constexpr int32_t kLeastMatched = 2;
inline constexpr int32_t kMostMatched = 32;

/// The drafts of one completion.
class PromptLookup {
 public:
  static constexpr int32_t kMostDrafted = StepCosts::kSizes.back() - 1;

  explicit PromptLookup(const StepCosts& costs);

  /// What may follow the text, at most `room` tokens; none where it would not pay.
  std::vector<llama_token> draft(std::span<const llama_token> text, int32_t room) const;

  /// Of a step: how many tokens its draft had, none or more, and how many of them were right.
  void note(int32_t drafted, int32_t accepted);

 private:
  int32_t worth_drafting(int32_t matched, int32_t room) const;

  StepCosts costs_;
  float balance_;
};

}  // namespace sightline::runtime
