#include "attention/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "attention/half.h"

namespace sightline::attention {

namespace {

/// What a copy stores for a KV head, [tokens][head_dim].
struct Elements {
  std::vector<double> k, v;

  Elements(const Copy& copy, int kv_head, int head_dim) {
    for (int t = 0; t < copy.tokens; t++) {
      for (int c = 0; c < head_dim; c++) {
        k.push_back(key_at(copy, kv_head, head_dim, t, c));
        v.push_back(value_at(copy, kv_head, head_dim, t, c));
      }
    }
  }
};

void attend_kv_head(const Problem& problem, int kv_head) {
  const Shape& shape = problem.shape;
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  std::map<const Copy*, Elements> elements;  // of the copies read so far
  std::vector<double> logits;
  std::vector<double> sum(head_dim);
  for (int i = 0; i < shape.tokens; i++) {
    const int32_t visible = problem.visible[i];
    for (int h = kv_head * shape.group(); h < (kv_head + 1) * shape.group(); h++) {
      const float* q = problem.q.row(i, h);
      const double slope = problem.slopes != nullptr ? problem.slopes[h] : 1.0;
      const auto each_seen = [&](auto&& visit) {
        for (const Block& block : problem.blocks) {
          if (block.first >= visible) continue;
          const Copy& copy = block.copy(visible);
          const Elements& all =
              elements.try_emplace(&copy, copy, kv_head, shape.head_dim).first->second;
          for (int t = 0; t < copy.tokens; t++) {
            const int position = position_of(block, copy, kv_head, t);
            const size_t row = static_cast<size_t>(t) * head_dim;
            if (position < visible) visit(position, all.k.data() + row, all.v.data() + row);
          }
        }
      };

      logits.clear();
      double largest = -std::numeric_limits<double>::infinity();
      each_seen([&](int position, const double* k, const double*) {
        double logit = problem.scale * std::inner_product(k, k + head_dim, q, 0.0);
        if (problem.softcap != 0) logit = problem.softcap * std::tanh(logit / problem.softcap);
        if (problem.mask != nullptr)
          logit += slope * half_to_float(problem.mask[i * problem.mask_stride + position]);
        logits.push_back(logit);
        largest = std::max(largest, logit);
      });
      if (problem.sinks != nullptr) largest = std::max<double>(largest, problem.sinks[h]);

      double total = problem.sinks != nullptr ? std::exp(problem.sinks[h] - largest) : 0.0;
      std::fill(sum.begin(), sum.end(), 0.0);
      size_t next = 0;
      each_seen([&](int, const double*, const double* v) {
        const double logit = logits[next++];
        if (logit == -std::numeric_limits<double>::infinity()) return;
        const double weight = std::exp(logit - largest);
        total += weight;
        for (size_t c = 0; c < head_dim; c++) sum[c] += weight * v[c];
      });
      for (size_t c = 0; c < head_dim; c++)
        problem.out.row(i, h)[c] = total > 0 ? static_cast<float>(sum[c] / total) : 0.0f;

      const Received& received = problem.received;
      if (received.mass == nullptr) continue;
      next = 0;
      each_seen([&](int position, const double*, const double*) {
        const double weight = std::exp(logits[next++] - largest);
        if (position >= received.first)
          received.mass[kv_head * received.stride + position - received.first] +=
              static_cast<float>(weight / total);
      });
    }
  }
}

}  // namespace

void attend_reference(const Problem& problem) {
  for (int kv_head = 0; kv_head < problem.shape.kv_heads; kv_head++)
    attend_kv_head(problem, kv_head);
}

}  // namespace sightline::attention
