#include "attention/format/fp8.h"

#include <algorithm>
#include <cstring>

namespace sightline::attention {

namespace {

/// `index` maps a token and a channel to an element.
template <typename Index>
void encode(const uint16_t* halves, std::byte* out, const Extent& extent, Index index) {
  const Fp8Layout layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  const auto each = [&](auto&& visit) {
    for (int t = 0; t < extent.tokens; t++)
      for (int c = 0; c < extent.head_dim; c++) visit(index(extent, t, c));
  };
  float largest = 0.0f;
  each([&](size_t i) { largest = std::max(largest, std::fabs(half_to_float(halves[i]))); });
  const Fp8Coder coder(largest);
  std::memset(codes, 0, layout.scale);
  each([&](size_t i) { codes[i] = coder(half_to_float(halves[i])); });
  *at_offset<uint16_t>(out, layout.scale) = coder.scale();
}

}  // namespace

void encode_keys_fp8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  encode(halves, out, extent, key_index);
}

void encode_values_fp8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  encode(halves, out, extent, value_index);
}

void decode_fp8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Fp8Layout layout(extent);
  const float scale = half_to_float(*at_offset<uint16_t>(coded, layout.scale));
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (size_t i = 0; i < area(extent.head_dim, extent.capacity); i++)
    halves[i] = float_to_half(e4m3_to_float(codes[i]) * scale);
}

}  // namespace sightline::attention
