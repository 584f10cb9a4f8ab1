#include "runtime/logits.h"

#include <algorithm>
#include <cmath>

namespace sightline::runtime {

LogSum log_sum(std::span<const float> logits) {
  const auto top = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - *top);
  return {*top + std::log(sum), static_cast<size_t>(top - logits.begin())};
}

double divergence(std::span<const float> p, const LogSum& of_p, std::span<const float> q,
                  const LogSum& of_q) {
  double sum = 0;
  for (size_t token = 0; token < p.size(); token++) {
    const double log_p = p[token] - of_p.log_sum;
    sum += std::exp(log_p) * (log_p - (q[token] - of_q.log_sum));
  }
  return sum;
}

}  // namespace sightline::runtime
