#include "runtime/gpu_layers.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <string_view>

#include "cache/forecast.h"
#include "llama.h"
#include "runtime/gguf_file.h"
#include "runtime/llama_log.h"

namespace sightline::runtime {
namespace {

int64_t key_of(const gguf_context* file, const std::string& name) {
  const int64_t architecture = gguf_find_key(file, "general.architecture");
  return gguf_find_key(file,
                       (std::string(gguf_get_val_str(file, architecture)) + "." + name).c_str());
}

/// A number of the model; 0: none.
uint32_t number(const gguf_context* file, const std::string& name) {
  const int64_t id = key_of(file, name);
  return id >= 0 && gguf_get_kv_type(file, id) == GGUF_TYPE_UINT32 ? gguf_get_val_u32(file, id) : 0;
}

/// One for each layer: files give one for all, or a list. Empty: none.
std::vector<int64_t> numbers(const gguf_context* file, const std::string& name, size_t layers) {
  if (const uint32_t one = number(file, name); one > 0) return std::vector<int64_t>(layers, one);
  const int64_t id = key_of(file, name);
  if (id < 0 || gguf_get_kv_type(file, id) != GGUF_TYPE_ARRAY) return {};
  const gguf_type type = gguf_get_arr_type(file, id);
  if ((type != GGUF_TYPE_UINT32 && type != GGUF_TYPE_INT32) || gguf_get_arr_n(file, id) < layers)
    return {};
  // Counts, far below the sign bit.
  const auto* elements = static_cast<const int32_t*>(gguf_get_arr_data(file, id));
  return {elements, elements + layers};
}

/// "blk.<layer>."
std::optional<size_t> layer_of(std::string_view tensor) {
  constexpr std::string_view kPrefix = "blk.";
  if (!tensor.starts_with(kPrefix)) return std::nullopt;
  size_t layer = 0;
  const char* first = tensor.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(first, tensor.data() + tensor.size(), layer);
  return error == std::errc() && end != first ? std::optional(layer) : std::nullopt;
}

/// A large model is in several files, the first of which has the metadata.
std::vector<std::string> parts_of(const std::string& path, const gguf_context* first) {
  const int64_t id = gguf_find_key(first, "split.count");
  const int parts =
      id >= 0 && gguf_get_kv_type(first, id) == GGUF_TYPE_UINT16 ? gguf_get_val_u16(first, id) : 1;
  std::vector<char> prefix(path.size() + 1), name(path.size() + 64);
  if (parts < 2 || llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, parts) <= 0)
    return {path};
  std::vector<std::string> paths;
  for (int part = 0; part < parts; part++) {
    llama_split_path(name.data(), name.size(), prefix.data(), part, parts);
    paths.emplace_back(name.data());
  }
  return paths;
}

void add_weights(const gguf_context* file, LayerSizes& sizes, size_t& embedding, bool& has_output) {
  for (int64_t i = 0; i < gguf_get_n_tensors(file); i++) {
    const std::string_view name = gguf_get_tensor_name(file, i);
    const size_t bytes = gguf_get_tensor_size(file, i);
    const auto layer = layer_of(name);
    if (layer && *layer < sizes.weights.size()) {
      sizes.weights[*layer] += bytes;
    } else if (name == "token_embd.weight") {
      embedding = bytes;
    } else {
      sizes.output += bytes;
      has_output = has_output || name == "output.weight";
    }
  }
}

}  // namespace

std::optional<LayerSizes> layer_sizes(const std::string& model_path, size_t step_tokens) try {
  const LogCapture log;
  const GgufFile first = open_gguf(model_path);
  if (first == nullptr) return std::nullopt;
  LayerSizes sizes;
  const size_t layers = number(first.get(), "block_count");
  sizes.weights.resize(layers);
  sizes.geometries.resize(layers);
  sizes.trained_tokens = static_cast<int32_t>(number(first.get(), "context_length"));

  size_t embedding = 0;
  bool has_output = false;
  for (const std::string& path : parts_of(model_path, first.get())) {
    const GgufFile part = open_gguf(path);
    if (part == nullptr) return std::nullopt;
    add_weights(part.get(), sizes, embedding, has_output);
  }
  if (!has_output) sizes.output += embedding;  // the same weights, a second time

  const size_t width = number(first.get(), "embedding_length");
  const std::vector<int64_t> widest = numbers(first.get(), "feed_forward_length", 1);
  const size_t inner = widest.empty() ? 0 : static_cast<size_t>(std::max<int64_t>(widest[0], 0));
  const int64_t tokens = gguf_find_key(first.get(), "tokenizer.ggml.tokens");
  const size_t vocabulary = tokens < 0 ? 0 : gguf_get_arr_n(first.get(), tokens);
  sizes.step = step_tokens * sizeof(float) * (vocabulary + 2 * inner + 4 * width);

  const std::vector<int64_t> heads = numbers(first.get(), "attention.head_count", layers);
  std::vector<int64_t> kv_heads = numbers(first.get(), "attention.head_count_kv", layers);
  const int64_t key_length = number(first.get(), "attention.key_length");
  if (kv_heads.empty()) kv_heads = heads;
  if (heads.empty() || number(first.get(), "attention.sliding_window") > 0) return sizes;
  for (size_t i = 0; i < layers; i++) {
    if (heads[i] <= 0 || kv_heads[i] <= 0) continue;
    const int64_t head_dim = key_length > 0 ? key_length : static_cast<int64_t>(width) / heads[i];
    sizes.geometries[i] = {static_cast<int32_t>(kv_heads[i]), static_cast<int32_t>(head_dim)};
  }
  return sizes;
} catch (const std::exception&) {
  return std::nullopt;  // a damaged part
}

std::vector<size_t> least_cache_bytes(const cache::Policy& policy, const LayerSizes& sizes,
                                      int32_t tokens, size_t step_tokens) {
  cache::Policy least = policy;
  least.budget = 1;  // what decides by it takes the lowest level as soon as it can
  std::vector<size_t> bytes;
  for (size_t layer = 0; layer < sizes.weights.size(); layer++) {
    std::vector<cache::Geometry> one(sizes.weights.size());
    one[layer] = sizes.geometries[layer];
    bytes.push_back(cache::forecast_bytes(least, one, tokens) +
                    step_tokens * cache::fp16_token_bytes(one[layer]));
  }
  return bytes;
}

int32_t layers_that_fit(const LayerSizes& sizes, std::span<const size_t> cache_bytes,
                        size_t bytes) {
  size_t taken = sizes.output + sizes.step;
  int32_t fitting = 0;
  for (size_t layer = sizes.weights.size(); layer-- > 0; fitting++) {
    taken += sizes.weights[layer] + cache_bytes[layer];
    if (taken > bytes) break;
  }
  return fitting;
}

}  // namespace sightline::runtime
