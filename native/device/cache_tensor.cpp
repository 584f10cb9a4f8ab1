#include "device/cache_tensor.h"

#include <charconv>
#include <string_view>

namespace sightline::device {

std::optional<CacheTensor> parse_cache_name(const char* name) {
  const std::string_view text(name);
  const bool keys = text.starts_with("cache_k_l");
  if (!keys && !text.starts_with("cache_v_l")) return std::nullopt;
  const char* digits = name + std::string_view("cache_k_l").size();
  const char* end = name + text.size();
  int32_t layer = 0;
  const auto [rest, error] = std::from_chars(digits, end, layer);
  if (error != std::errc{} || rest != end || layer < 0) return std::nullopt;
  return CacheTensor{layer, keys};
}

std::optional<CacheTensor> plain_cache(const ggml_tensor* tensor) {
  const bool plain = tensor->view_src == nullptr && tensor->type == GGML_TYPE_F16 &&
                     tensor->ne[2] == 1 && tensor->ne[3] == 1 && tensor->op == GGML_OP_NONE;
  return plain ? parse_cache_name(tensor->name) : std::nullopt;
}

}  // namespace sightline::device
