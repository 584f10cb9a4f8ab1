#include "attention/format/int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "attention/format/affine.h"
#include "attention/half.h"

namespace sightline::attention {
namespace {

size_t key_byte(const Extent& extent, int t, int c) {
  return code_place(c, extent.head_dim, t, 8).byte;
}

size_t value_byte(const Extent& extent, int t, int c) {
  return code_place(t, extent.capacity, c, 8).byte;
}

}  // namespace

void encode_keys_int8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int8Keys layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  auto* scales = at_offset<uint16_t>(out, layout.scale);
  auto* zeros = at_offset<uint16_t>(out, layout.zero);
  std::memset(out, 0, layout.bytes);
  std::vector<float> channel(static_cast<size_t>(extent.tokens));
  for (int c = 0; c < extent.head_dim; c++) {
    for (int t = 0; t < extent.tokens; t++)
      channel[static_cast<size_t>(t)] = half_to_float(halves[key_index(extent, t, c)]);
    const Affine grid = Affine::over([&](int t) { return channel[static_cast<size_t>(t)]; },
                                     extent.tokens, kLargestInt8Code);
    const AffineCoder code(grid, kLargestInt8Code);
    scales[c] = grid.step;
    zeros[c] = grid.zero;
    for (int t = 0; t < extent.tokens; t++)
      codes[key_byte(extent, t, c)] = code(channel[static_cast<size_t>(t)]);
  }
}

void decode_keys_int8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int8Keys layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int c = 0; c < extent.head_dim; c++) {
    const Affine grid{at_offset<uint16_t>(coded, layout.zero)[c],
                      at_offset<uint16_t>(coded, layout.scale)[c]};
    for (int t = 0; t < extent.tokens; t++)
      halves[key_index(extent, t, c)] = float_to_half(grid.decode(codes[key_byte(extent, t, c)]));
  }
}

void encode_values_int8(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int8Values layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  auto* scales = at_offset<uint16_t>(out, layout.scale);
  std::memset(out, 0, layout.bytes);
  for (int t = 0; t < extent.tokens; t++) {
    const auto element = [&](int c) { return half_to_float(halves[value_index(extent, t, c)]); };
    float largest = 0.0f;
    for (int c = 0; c < extent.head_dim; c++) largest = std::max(largest, std::fabs(element(c)));
    const Int8ValueCoder coder(largest);
    scales[t] = coder.scale();
    for (int c = 0; c < extent.head_dim; c++)
      codes[value_byte(extent, t, c)] = static_cast<uint8_t>(coder.code_of(element(c)));
  }
}

void decode_values_int8(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int8Values layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int t = 0; t < extent.tokens; t++) {
    const float scale = half_to_float(at_offset<uint16_t>(coded, layout.scale)[t]);
    for (int c = 0; c < extent.head_dim; c++) {
      const int code = codes[value_byte(extent, t, c)] - kInt8ValueBias;
      halves[value_index(extent, t, c)] = float_to_half(scale * static_cast<float>(code));
    }
  }
}

}  // namespace sightline::attention
