#include "device/cache_tensor.h"

#include <charconv>
#include <string_view>

namespace sightline::device {

const ggml_tensor* root(const ggml_tensor* tensor) {
  while (tensor->view_src != nullptr) tensor = tensor->view_src;
  return tensor;
}

std::optional<CacheTensor> parse_cache_name(const char* name) {
  const std::string_view text(name);
  const bool keys = text.starts_with("cache_k_l");
  if (!keys && !text.starts_with("cache_v_l")) return std::nullopt;
  const char* digits = name + std::string_view("cache_k_l").size();
  const char* end = name + text.size();
  int32_t layer = 0;
  const auto [rest, error] = std::from_chars(digits, end, layer);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return CacheTensor{layer, keys};
}

std::optional<CacheTensor> owned_cache(const ggml_tensor* tensor, int32_t capacity) {
  const ggml_tensor* whole = root(tensor);
  const bool plain = capacity > 0 && whole->type == GGML_TYPE_F16 && whole->ne[1] == capacity &&
                     whole->ne[2] == 1 && whole->ne[3] == 1 && whole->op == GGML_OP_NONE;
  return plain ? parse_cache_name(whole->name) : std::nullopt;
}

}  // namespace sightline::device
