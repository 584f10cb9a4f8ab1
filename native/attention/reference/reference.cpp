#include "attention/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "attention/half.h"

namespace sightline::attention {

void attend_reference(const Problem& problem) {
  const Shape& shape = problem.shape;
  std::vector<double> logits;
  std::vector<double> sum(static_cast<size_t>(shape.head_dim));
  for (int i = 0; i < shape.tokens; i++) {
    const int32_t visible = problem.visible[i];
    for (int h = 0; h < shape.heads; h++) {
      const float* q = problem.q.row(i, h);
      const int kv_head = h / shape.group();
      const double slope = problem.slopes != nullptr ? problem.slopes[h] : 1.0;
      const auto each_seen = [&](auto&& visit) {
        for (const Block& block : problem.blocks) {
          if (block.first >= visible) continue;
          const Copy& copy = block.copy(visible);
          for (int t = 0; t < copy.tokens; t++) {
            const int position = position_of(block, copy, kv_head, t);
            if (position < visible) visit(copy, t, position);
          }
        }
      };

      logits.clear();
      double largest = -std::numeric_limits<double>::infinity();
      each_seen([&](const Copy& copy, int t, int position) {
        double dot = 0;
        for (int c = 0; c < shape.head_dim; c++)
          dot += q[c] * key_at(copy, kv_head, shape.head_dim, t, c);
        double logit = dot * problem.scale;
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
      each_seen([&](const Copy& copy, int t, int) {
        const double logit = logits[next++];
        if (logit == -std::numeric_limits<double>::infinity()) return;
        const double weight = std::exp(logit - largest);
        total += weight;
        for (int c = 0; c < shape.head_dim; c++)
          sum[static_cast<size_t>(c)] += weight * value_at(copy, kv_head, shape.head_dim, t, c);
      });
      for (int c = 0; c < shape.head_dim; c++)
        problem.out.row(i, h)[c] =
            total > 0 ? static_cast<float>(sum[static_cast<size_t>(c)] / total) : 0.0f;

      const Received& received = problem.received;
      next = 0;
      each_seen([&](const Copy&, int, int position) {
        const double weight = std::exp(logits[next++] - largest);
        if (received.mass != nullptr && position >= received.first)
          received.mass[kv_head * received.stride + position - received.first] +=
              static_cast<float>(weight / total);
      });
    }
  }
}

}  // namespace sightline::attention
