#include "attention/format/int8.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "attention/format/affine.h"
#include "attention/half.h"

namespace sightline::attention {
namespace {

constexpr int kLargestCode = 255;

size_t key_index(const Extent& extent, int c, int t) {
  return (area(c / 4, extent.capacity) + static_cast<size_t>(t)) * 4 + static_cast<size_t>(c % 4);
}

size_t value_index(const Extent& extent, int t, int c) {
  return (area(t / 4, extent.head_dim) + static_cast<size_t>(c)) * 4 + static_cast<size_t>(t % 4);
}

}  // namespace

void encode_keys_int8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int8Keys layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  auto* scales = at_offset<uint16_t>(out, layout.scale);
  auto* zeros = at_offset<uint16_t>(out, layout.zero);
  std::vector<float> channel(static_cast<size_t>(extent.tokens));
  for (int c = 0; c < extent.head_dim; c++, halves += extent.capacity) {
    std::transform(halves, halves + extent.tokens, channel.begin(), half_to_float);
    const auto [low, high] = std::minmax_element(channel.begin(), channel.end());
    const Affine grid = Affine::covering(*low, *high, kLargestCode);
    const AffineCoder code(grid, kLargestCode);
    scales[c] = grid.step;
    zeros[c] = grid.zero;
    for (int t = 0; t < extent.capacity; t++)
      codes[key_index(extent, c, t)] =
          t < extent.tokens ? code(channel[static_cast<size_t>(t)]) : uint8_t{0};
  }
}

void decode_keys_int8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int8Keys layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int c = 0; c < extent.head_dim; c++, halves += extent.capacity) {
    const Affine grid{at_offset<uint16_t>(coded, layout.zero)[c],
                      at_offset<uint16_t>(coded, layout.scale)[c]};
    for (int t = 0; t < extent.tokens; t++)
      halves[t] = float_to_half(grid.decode(codes[key_index(extent, c, t)]));
  }
}

void encode_values_int8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int8Values layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  auto* scales = at_offset<uint16_t>(out, layout.scale);
  for (int t = 0; t < extent.capacity; t++, halves += extent.head_dim) {
    float largest = 0.0f;
    for (int c = 0; c < extent.head_dim && t < extent.tokens; c++)
      largest = std::max(largest, std::fabs(half_to_float(halves[c])));
    scales[t] = half_at_least(largest / 127.0f);
    const float step = half_to_float(scales[t]);
    const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
    for (int c = 0; c < extent.head_dim; c++) {
      const float code = inverse > 0.0f ? std::nearbyint(half_to_float(halves[c]) * inverse) : 0.0f;
      const float biased = code + kInt8ValueBias;
      codes[value_index(extent, t, c)] =
          static_cast<uint8_t>(biased > 1.0f ? std::min(biased, 255.0f) : 1.0f);
    }
  }
}

void decode_values_int8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int8Values layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int t = 0; t < extent.tokens; t++, halves += extent.head_dim) {
    const float scale = half_to_float(at_offset<uint16_t>(coded, layout.scale)[t]);
    for (int c = 0; c < extent.head_dim; c++) {
      const int code = codes[value_index(extent, t, c)] - kInt8ValueBias;
      halves[c] = float_to_half(scale * static_cast<float>(code));
    }
  }
}

}  // namespace sightline::attention
