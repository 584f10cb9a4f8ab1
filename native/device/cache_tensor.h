#pragma once
// Which ggml tensors are llama.cpp's KV cache.

#include <cstdint>
#include <optional>

#include "ggml.h"

namespace sightline::device {

struct CacheTensor {
  int32_t layer;
  bool keys;  // else values
};

/// The tensor that a view is of. (ggml resolves views of views when it makes them.)
inline const ggml_tensor* root(const ggml_tensor* tensor) {
  return tensor->view_src != nullptr ? tensor->view_src : tensor;
}

/// Reads `cache_k_l<layer>` and `cache_v_l<layer>`; anything else is no plain cache tensor.
std::optional<CacheTensor> parse_cache_name(const char* name);

/// What a tensor holds of a cache that could be ours: FP16, one stream, no view.
std::optional<CacheTensor> plain_cache(const ggml_tensor* tensor);

}  // namespace sightline::device
