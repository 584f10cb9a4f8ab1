#pragma once
// What the kernels of attention are measured on: a few layers' caches, ours or ggml's.

#include <functional>
#include <vector>

#include "bench.h"

namespace sightline::bench {

/// One step's attention in `layers` layers of the same shape, each with a cache of its own, so that
/// one layer's is out of the processor's caches by the time it comes round again.
struct AttentionCase {
  int queries;
  int heads;
  int kv_heads;
  int head_dim;
  int depth;  // tokens in the cache, all of them seen by every query
  int layers;
  int threads;

  explicit AttentionCase(const Arguments& arguments);
};

/// So many normally distributed numbers, the same each time.
std::vector<float> normal_numbers(size_t count);

/// Runs all layers once for every line of standard input; answers with the seconds that took.
void time_layers(const std::function<void()>& run);

}  // namespace sightline::bench
