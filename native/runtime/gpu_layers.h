#pragma once
// How much of a model fits on a GPU. llama.cpp puts layers on devices as a whole: the last ones,
// and the output behind them, go to the GPU; the first ones stay on the CPU where it has no room.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/policy.h"
#include "cache/schedule.h"

namespace sightline::runtime {

/// What the parts of a model take, by its file.
struct LayerSizes {
  std::vector<size_t> weights;  // bytes by layer
  size_t output = 0;            // bytes of the weights behind the layers
  size_t step = 0;              // about what the last device takes for the tensors of a step
  // By layer; empty where the file does not tell, as for layers with a sliding window.
  std::vector<cache::Geometry> geometries;
  int32_t trained_tokens = 0;

  int32_t count() const { return static_cast<int32_t>(weights.size()); }
};

/// Of a file that check_gguf accepts, and of those it is continued in. Nothing where one of them
/// cannot be read. `step_tokens`: of a prefill step.
std::optional<LayerSizes> layer_sizes(const std::string& model_path, size_t step_tokens);

/// Bytes of each layer's cache with so many tokens at the lowest levels that `policy` may use, and
/// of a step's in FP16 besides.
std::vector<size_t> least_cache_bytes(const cache::Policy& policy, const LayerSizes& sizes,
                                      int32_t tokens, size_t step_tokens);

/// How many layers fit into `bytes`, with a cache of so many bytes each.
int32_t layers_that_fit(const LayerSizes& sizes, std::span<const size_t> cache_bytes, size_t bytes);

}  // namespace sightline::runtime
