// Putting a model on a GPU: how many layers, what memory is left for the cache, and whether that is
// enough.

#include <algorithm>
#include <numeric>

#include "runtime/gguf_check.h"
#include "runtime/gpu_layers.h"
#include "runtime/machine.h"
#include "runtime/model.h"
#include "runtime/size_text.h"

namespace sightline::runtime {
namespace {

/// What is left alone of a GPU's memory: for its other programs, and as the pool takes it by slabs.
size_t gpu_reserve(size_t total) {
  return std::clamp(total / 32, size_t{8} << 20, size_t{256} << 20);
}

}  // namespace

/// With as many layers as fit, or were asked for, on the GPU. What fits is estimated first; where
/// that was too many, a try has shown how much is lacking.
Result<std::unique_ptr<Model>> Model::load_on_gpu(const GpuDevice& gpu, const LoadOptions& options,
                                                  const Progress& progress, const Cancel& cancel) {
  if (const auto checked = check_gguf(options.model_path); !checked) return checked.error();
  const auto sizes = layer_sizes(options.model_path, kMicroBatch);
  if (!sizes) {
    return Error{Code::model_invalid, options.model_path +
                                          " lacks a part of it that is in a file of its own. "
                                          "Download the model again."};
  }
  const auto* policy = std::get_if<cache::Policy>(&options.cache);
  const int32_t tokens =
      options.context_tokens > 0 ? options.context_tokens : sizes->trained_tokens;
  std::vector<size_t> cache =
      least_cache_bytes(policy != nullptr ? *policy : cache::Policy(), *sizes, tokens, kMicroBatch);
  const size_t whole = std::accumulate(cache.begin(), cache.end(), size_t{0});
  if (const size_t budget = options.cache_budget_bytes; budget > 0 && whole > budget)
    for (size_t& bytes : cache)
      bytes = static_cast<size_t>(static_cast<double>(bytes) * static_cast<double>(budget) /
                                  static_cast<double>(whole));

  size_t free = 0, total = 0;
  ggml_backend_dev_memory(gpu.inner, &free, &total);
  const int32_t all = sizes->count();
  int32_t layers = std::min(options.gpu_layers, all);
  if (layers == 0) {
    layers = std::max(1, layers_that_fit(*sizes, cache, free - std::min(free, gpu_reserve(total))));
  }
  for (int32_t step = 1;; step *= 2) {
    size_t lacking = 0;
    auto model = load_at({gpu, layers, all - layers}, options, progress, cancel, lacking);
    if (model || model.error().code != Code::out_of_memory || options.gpu_layers > 0) return model;
    int32_t fewer = lacking > 0 ? 0 : step;
    for (size_t freed = 0; freed < lacking && fewer < layers; fewer++) {
      const auto moved = static_cast<size_t>(all - layers + fewer);
      freed += sizes->weights[moved] + cache[moved];
    }
    if (fewer >= layers) return model;
    layers -= fewer;
  }
}

/// On a GPU the first step takes memory for all later ones; what is left then is the cache's.
Result<Done> Model::warm_up(const Cancel& cancel) {
  if (!site_.gpu || device_ == nullptr) return Done{};
  const size_t count = std::min(kMicroBatch, static_cast<size_t>(info_.context_tokens));
  const std::vector<llama_token> tokens(count, std::max(info_.bos, llama_token{0}));
  if (const auto logits = evaluate(tokens, false, cancel); !logits) return logits.error();
  auto& policy = std::get<cache::Policy>(options_.cache);
  if (options_.cache_budget_bytes == 0) policy.budget = default_budget();
  set_policy(policy);
  return Done{};
}

/// Its name and memory, for messages.
std::string Model::gpu_text() const {
  size_t free = 0, total = 0;
  ggml_backend_dev_memory(site_.gpu->inner, &free, &total);
  return std::string(ggml_backend_dev_description(site_.gpu->inner)) + " (" + size_text(free) +
         " of " + size_text(total) + " are free)";
}

/// All that the GPU has, which nobody shares with the editor.
size_t Model::spare_gpu_memory() const {
  const attention::cuda::GpuMemory memory = device_->gpu_memory();
  const size_t reserve = gpu_reserve(memory.total);
  return memory.free > reserve ? memory.free - reserve : 0;
}

/// The part of the cache that lies in the GPU's memory.
double Model::gpu_share() const {
  if (!site_.gpu) return 0;
  const std::vector<cache::Geometry> layers = device_->cache().geometries();
  size_t all = 0, there = 0;
  for (size_t i = 0; i < layers.size(); i++) {
    all += cache::fp16_token_bytes(layers[i]);
    if (i >= static_cast<size_t>(site_.cpu_layers)) there += cache::fp16_token_bytes(layers[i]);
  }
  return all > 0 ? static_cast<double>(there) / static_cast<double>(all) : 1;
}

/// For the whole cache, where nobody says how much: its layers are all at the same levels, so it is
/// as large as the memory allows that has the least for its part of it.
size_t Model::default_budget() const {
  if (!site_.gpu) return spare_memory();
  const double share = gpu_share();
  double bytes = static_cast<double>(memory_limit());
  if (share > 0) bytes = static_cast<double>(spare_gpu_memory()) / share;
  if (share < 1) bytes = std::min(bytes, static_cast<double>(spare_memory()) / (1 - share));
  return static_cast<size_t>(bytes);
}

/// `bytes`: of the cache, on the GPU.
Result<Done> Model::check_gpu_memory(size_t bytes) {
  const size_t spare = spare_gpu_memory();
  if (bytes <= spare) return Done{};
  lacking_ = bytes - spare;
  return Error{Code::out_of_memory,
               "A context of " + std::to_string(info_.context_tokens) + " tokens needs " +
                   size_text(bytes) + " besides the model on the GPU " + gpu_text() +
                   ". Lower sightline.model.contextTokens, hold the cache in fewer bits "
                   "(sightline.cache.policy, sightline.cache.tier), or put fewer layers there "
                   "(sightline.gpu.layers)."};
}

}  // namespace sightline::runtime
