#pragma once
// What rows of logits say of a vocabulary's tokens.

#include <cstddef>
#include <span>

namespace sightline::runtime {

struct LogSum {
  double log_sum;  // logarithm of the sum of exponentials: what a logit lacks to a log-probability
  size_t top;      // the likeliest token
};
LogSum log_sum(std::span<const float> logits);

/// KL(p || q) in nats, of two rows.
double divergence(std::span<const float> p, const LogSum& of_p, std::span<const float> q,
                  const LogSum& of_q);

}  // namespace sightline::runtime
