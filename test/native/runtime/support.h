#pragma once
// What tests of models share.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <variant>
#include <vector>

#include "attention/format/format.h"
#include "runtime/model.h"

namespace sightline::test {

using runtime::Cancel;
using runtime::LoadOptions;
using runtime::Model;
using runtime::Result;

/// The bundled model.
inline LoadOptions bundled(std::variant<cache::Policy, runtime::StockCache> cache,
                           int32_t threads = 1) {
  LoadOptions options;
  options.model_path = SIGHTLINE_TEST_MODEL;
  options.libraries_path = SIGHTLINE_TEST_LIBRARIES;
  options.threads = threads;
  options.cache = cache;
  return options;
}

inline cache::Policy selective(const char* tier, int32_t window) {
  return {
      .kind = cache::PolicyKind::selective, .window = window, .tier = *attention::tier_named(tier)};
}

inline std::unique_ptr<Model> load(const LoadOptions& options) {
  const Cancel never{false};
  Result<std::unique_ptr<Model>> model = Model::load(
      options, [](float) {}, never);
  REQUIRE_MESSAGE(model, (model ? "" : model.error().message));
  return std::move(model.value());
}

inline std::vector<llama_token> tokens(int count, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<llama_token> tokens;
  for (int i = 0; i < count; i++) tokens.push_back(static_cast<llama_token>(random() % 4000));
  return tokens;
}

inline std::vector<float> evaluate(Model& model, const std::vector<llama_token>& tokens) {
  const Cancel never{false};
  Result<std::vector<float>> logits = model.evaluate(tokens, false, never);
  REQUIRE_MESSAGE(logits, (logits ? "" : logits.error().message));
  return std::move(logits.value());
}

/// KL(p || q) in nats, of two rows of logits.
inline double divergence(const std::vector<float>& p, const std::vector<float>& q) {
  REQUIRE(p.size() == q.size());
  const auto log_sum = [](const std::vector<float>& x) {
    double largest = -INFINITY, sum = 0;
    for (const float value : x) largest = std::max<double>(largest, value);
    for (const float value : x) sum += std::exp(value - largest);
    return largest + std::log(sum);
  };
  const double of_p = log_sum(p), of_q = log_sum(q);
  double sum = 0;
  for (size_t i = 0; i < p.size(); i++) {
    REQUIRE(std::isfinite(q[i]));
    sum += std::exp(p[i] - of_p) * ((p[i] - of_p) - (q[i] - of_q));
  }
  return sum;
}

}  // namespace sightline::test
