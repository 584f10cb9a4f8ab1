#include "cache/select.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "attention/block.h"

namespace sightline::cache {
namespace {

constexpr int32_t kTokens = attention::kBlockTokens;

/// How much a KV head wants to keep each token; not NaN.
std::vector<float> scores(const Policy& policy, std::span<const float> mass,
                          std::span<const float> kind_weights) {
  std::vector<float> score(mass.begin(), mass.end());
  for (float& received : score)
    if (!(received > 0)) received = 0;
  if (policy.kind != PolicyKind::importance) return score;
  const float largest = *std::max_element(score.begin(), score.end());
  for (int32_t t = 0; t < kTokens; t++) {
    float& s = score[static_cast<size_t>(t)];
    const float recency = static_cast<float>(t) / static_cast<float>(kTokens - 1);
    s = policy.weights.attention * (largest > 0 ? s / largest : 0.0f) +
        policy.weights.recency * recency +
        policy.weights.kind * kind_weights[static_cast<size_t>(t)];
  }
  return score;
}

int32_t count_above(const std::vector<float>& score, float threshold) {
  const float mean = std::accumulate(score.begin(), score.end(), 0.0f) / kTokens;
  return static_cast<int32_t>(
      std::count_if(score.begin(), score.end(), [&](float s) { return s >= threshold * mean; }));
}

}  // namespace

Selection select(const Policy& policy, std::span<const float> mass,
                 std::span<const float> kind_weights) {
  assert(mass.size() % kTokens == 0 && kind_weights.size() == kTokens);
  std::vector<std::vector<float>> heads;
  int32_t wanted = policy.kind == PolicyKind::attention
                       ? 1
                       : static_cast<int32_t>(std::ceil(policy.keep * kTokens));
  for (size_t at = 0; at < mass.size(); at += kTokens) {
    heads.push_back(scores(policy, mass.subspan(at, kTokens), kind_weights));
    if (policy.kind == PolicyKind::attention)
      wanted = std::max(wanted, count_above(heads.back(), policy.threshold));
  }
  constexpr int32_t kGranule = attention::kTokenGranule;
  Selection selection{(wanted + kGranule - 1) / kGranule * kGranule, {}};
  std::vector<int32_t> order(kTokens);
  for (const std::vector<float>& score : heads) {
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      const float x = score[static_cast<size_t>(a)], y = score[static_cast<size_t>(b)];
      return x != y ? x > y : a > b;
    });
    std::sort(order.begin(), order.begin() + selection.count);
    selection.tokens.insert(selection.tokens.end(), order.begin(), order.begin() + selection.count);
  }
  return selection;
}

}  // namespace sightline::cache
