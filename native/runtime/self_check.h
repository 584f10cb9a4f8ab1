#pragma once
// How far a quantised cache's predictions are from an FP16 cache's.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sightline::runtime {

/// What the self-check at load found.
struct Check {
  std::string asked;      // tier asked for
  std::string tier;       // tier in use
  double divergence = 0;  // mean Kullback-Leibler divergence in nats, with the tier in use
  double bound = 0;       // the most it may be
  double same_top = 0;    // share of positions with the same likeliest token
};

/// The most that quantisation may cost: about what the next smaller quantisation of a model's
/// weights does to short contexts.
inline constexpr double kDivergenceBound = 0.02;

/// Tokens of the check, and how many of the last ones are compared.
inline constexpr size_t kCheckTokens = 512;
inline constexpr size_t kComparedTokens = 128;

/// Source code in several languages, of more than kCheckTokens tokens in any vocabulary for code.
std::string_view check_text();

struct Divergence {
  double mean;  // nats
  double same_top;
};

/// Both are logits, [rows][vocabulary]; the divergence is from `reference`.
Divergence divergence(std::span<const float> reference, std::span<const float> other,
                      size_t vocabulary);

}  // namespace sightline::runtime
