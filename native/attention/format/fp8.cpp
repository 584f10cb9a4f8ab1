#include "attention/format/fp8.h"

#include <algorithm>

namespace sightline::attention {

void encode_fp8(const uint16_t* halves, std::byte* out, const Extent& extent, bool channel_major) {
  const Fp8Layout layout(extent);
  const size_t elements = area(extent.head_dim, extent.capacity);
  const auto capacity = static_cast<size_t>(extent.capacity);
  const auto head_dim = static_cast<size_t>(extent.head_dim);
  const auto is_held = [&](size_t i) {
    return (channel_major ? i % capacity : i / head_dim) < static_cast<size_t>(extent.tokens);
  };
  float largest = 0.0f;
  for (size_t i = 0; i < elements; i++)
    if (is_held(i)) largest = std::max(largest, std::fabs(half_to_float(halves[i])));
  const uint16_t scale = half_at_least(largest / kLargestE4m3);
  const float step = half_to_float(scale);
  const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  for (size_t i = 0; i < elements; i++)
    codes[i] = is_held(i) ? float_to_e4m3(half_to_float(halves[i]) * inverse) : uint8_t{0};
  *at_offset<uint16_t>(out, layout.scale) = scale;
}

void decode_fp8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Fp8Layout layout(extent);
  const float scale = half_to_float(*at_offset<uint16_t>(coded, layout.scale));
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (size_t i = 0; i < area(extent.head_dim, extent.capacity); i++)
    halves[i] = float_to_half(e4m3_to_float(codes[i]) * scale);
}

}  // namespace sightline::attention
