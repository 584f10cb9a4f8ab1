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

/// Byte and shift of a code.
struct Place {
  size_t byte;
  int shift;
};

/// In codes [rows / per_byte / 4][lanes][4] of 8 / per_byte bits, the row running fastest in a
/// byte.
Place place_of(int row, int lane, int lanes, int per_byte) {
  const int run = 4 * per_byte;
  const size_t byte =
      (area(row / run, lanes) + static_cast<size_t>(lane)) * 4 + static_cast<size_t>(row % 4);
  return {byte, row % run / 4 * (8 / per_byte)};
}

void put(uint8_t* codes, Place place, uint8_t code) {
  codes[place.byte] = static_cast<uint8_t>(codes[place.byte] | code << place.shift);
}

int get(const uint8_t* codes, Place place, int bits) {
  return codes[place.byte] >> place.shift & ((1 << bits) - 1);
}

}  // namespace

void encode_keys_int4(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const Int4Keys layout(extent);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  std::memset(codes, 0, layout.scale);
  std::vector<float> channel(static_cast<size_t>(extent.tokens));
  for (int c = 0; c < extent.head_dim; c++, halves += extent.capacity) {
    std::transform(halves, halves + extent.tokens, channel.begin(), half_to_float);
    const Affine grid = best_affine(channel, kLargestKeyCode);
    const AffineCoder code(grid, kLargestKeyCode);
    at_offset<uint16_t>(out, layout.scale)[c] = grid.step;
    at_offset<uint16_t>(out, layout.zero)[c] = grid.zero;
    for (int t = 0; t < extent.tokens; t++)
      put(codes, place_of(c, t, extent.capacity, 2), code(channel[static_cast<size_t>(t)]));
  }
}

void decode_keys_int4(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const Int4Keys layout(extent);
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int c = 0; c < extent.head_dim; c++, halves += extent.capacity) {
    const Affine grid{at_offset<uint16_t>(coded, layout.zero)[c],
                      at_offset<uint16_t>(coded, layout.scale)[c]};
    for (int t = 0; t < extent.tokens; t++)
      halves[t] = float_to_half(grid.decode(get(codes, place_of(c, t, extent.capacity, 2), 4)));
  }
}

void encode_grouped(const uint16_t* halves, std::byte* out, const Extent& extent, int bits,
                    const GroupedValues& layout) {
  const int largest = (1 << bits) - 1;
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  std::memset(out, 0, layout.bytes);
  std::vector<float> elements(static_cast<size_t>(layout.group));
  for (int t = 0; t < extent.tokens; t++) {
    for (int g = 0; g < layout.groups; g++, halves += layout.group) {
      std::transform(halves, halves + layout.group, elements.begin(), half_to_float);
      const Affine grid = best_affine(elements, largest);
      const AffineCoder code(grid, largest);
      const size_t at = area(g, extent.capacity) + static_cast<size_t>(t);
      at_offset<uint16_t>(out, layout.scale)[at] = grid.step;
      at_offset<uint16_t>(out, layout.zero)[at] = grid.zero;
      for (int c = 0; c < layout.group; c++)
        put(codes, place_of(t, g * layout.group + c, extent.head_dim, 8 / bits),
            code(elements[static_cast<size_t>(c)]));
    }
  }
}

void decode_grouped(const std::byte* coded, uint16_t* halves, const Extent& extent, int bits,
                    const GroupedValues& layout) {
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int t = 0; t < extent.tokens; t++) {
    for (int c = 0; c < extent.head_dim; c++, halves++) {
      const size_t at = area(c / layout.group, extent.capacity) + static_cast<size_t>(t);
      const Affine grid{at_offset<uint16_t>(coded, layout.zero)[at],
                        at_offset<uint16_t>(coded, layout.scale)[at]};
      const Place place = place_of(t, c, extent.head_dim, 8 / bits);
      *halves = float_to_half(grid.decode(get(codes, place, bits)));
    }
  }
}

}  // namespace sightline::attention
