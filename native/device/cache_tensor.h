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

/// The tensor that a view is of, through any number of views.
const ggml_tensor* root(const ggml_tensor* tensor);

/// Reads `cache_k_l<layer>` and `cache_v_l<layer>`; anything else is no plain cache tensor.
std::optional<CacheTensor> parse_cache_name(const char* name);

/// The cache tensor behind `tensor` if Sightline owns it: FP16, one stream, `capacity` rows.
std::optional<CacheTensor> owned_cache(const ggml_tensor* tensor, int32_t capacity);

}  // namespace sightline::device
