#include "attention/format/int4.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "attention/format/affine.h"
#include "attention/half.h"

namespace sightline::attention {
namespace {

constexpr int kLargestKeyCode = 15;

void put(uint8_t* codes, CodePlace place, uint8_t code) {
  codes[place.byte] = static_cast<uint8_t>(codes[place.byte] | code << place.shift);
}

int get(const uint8_t* codes, CodePlace place, int bits) {
  return codes[place.byte] >> place.shift & ((1 << bits) - 1);
}

}  // namespace

void encode_keys_int4(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int4Keys layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  std::memset(out, 0, layout.bytes);
  std::vector<float> channel(static_cast<size_t>(extent.tokens));
  for (int c = 0; c < extent.head_dim; c++) {
    for (int t = 0; t < extent.tokens; t++)
      channel[static_cast<size_t>(t)] = half_to_float(halves[key_index(extent, t, c)]);
    const Affine grid = best_affine(channel, kLargestKeyCode);
    const AffineCoder code(grid, kLargestKeyCode);
    at_offset<uint16_t>(out, layout.scale)[c] = grid.step;
    at_offset<uint16_t>(out, layout.zero)[c] = grid.zero;
    for (int t = 0; t < extent.tokens; t++)
      put(codes, code_place(c, extent.head_dim, t, 4), code(channel[static_cast<size_t>(t)]));
  }
}

void decode_keys_int4(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int4Keys layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int c = 0; c < extent.head_dim; c++) {
    const Affine grid{at_offset<uint16_t>(coded, layout.zero)[c],
                      at_offset<uint16_t>(coded, layout.scale)[c]};
    for (int t = 0; t < extent.tokens; t++)
      halves[key_index(extent, t, c)] =
          float_to_half(grid.decode(get(codes, code_place(c, extent.head_dim, t, 4), 4)));
  }
}

void encode_grouped(const uint16_t* halves, std::byte* out, const Extent& extent, int bits,
                    const GroupedValues& layout) {
  const int largest = (1 << bits) - 1;
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  std::memset(out, 0, layout.bytes);
  std::vector<float> elements(static_cast<size_t>(layout.group));
  for (int t = 0; t < extent.tokens; t++) {
    for (int g = 0; g < layout.groups; g++) {
      for (int c = 0; c < layout.group; c++)
        elements[static_cast<size_t>(c)] =
            half_to_float(halves[value_index(extent, t, g * layout.group + c)]);
      const Affine grid = best_affine(elements, largest);
      const AffineCoder code(grid, largest);
      const size_t at = area(g, extent.capacity) + static_cast<size_t>(t);
      at_offset<uint16_t>(out, layout.scale)[at] = grid.step;
      at_offset<uint16_t>(out, layout.zero)[at] = grid.zero;
      for (int c = 0; c < layout.group; c++)
        put(codes, code_place(t, extent.capacity, g * layout.group + c, bits),
            code(elements[static_cast<size_t>(c)]));
    }
  }
}

void decode_grouped(const std::byte* coded, uint16_t* halves, const Extent& extent, int bits,
                    const GroupedValues& layout) {
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int t = 0; t < extent.tokens; t++) {
    for (int c = 0; c < extent.head_dim; c++) {
      const size_t at = area(c / layout.group, extent.capacity) + static_cast<size_t>(t);
      const Affine grid{at_offset<uint16_t>(coded, layout.zero)[at],
                        at_offset<uint16_t>(coded, layout.scale)[at]};
      const CodePlace place = code_place(t, extent.capacity, c, bits);
      halves[value_index(extent, t, c)] = float_to_half(grid.decode(get(codes, place, bits)));
    }
  }
}

}  // namespace sightline::attention
