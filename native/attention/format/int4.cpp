#include "attention/format/int4.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "attention/format/affine.h"
#include "attention/format/rotation.h"
#include "attention/half.h"

namespace sightline::attention {
namespace {

void put(uint8_t* codes, CodePlace place, uint8_t code) {
  codes[place.byte] = static_cast<uint8_t>(codes[place.byte] | code << place.shift);
}

int get(const uint8_t* codes, CodePlace place, int bits) {
  return codes[place.byte] >> place.shift & ((1 << bits) - 1);
}

/// Where a token's code of a channel is: keys and values have their panels the other way round.
using Place = CodePlace (*)(const Extent& extent, int token, int channel, int bits);

CodePlace key_place(const Extent& extent, int token, int channel, int bits) {
  return code_place(channel, extent.head_dim, token, bits);
}

CodePlace value_place(const Extent& extent, int token, int channel, int bits) {
  return code_place(token, extent.capacity, channel, bits);
}

/// Takes the mean over the tokens off [tokens][head_dim] elements and stores it, rounded.
void take_mean(std::vector<float>& elements, const Extent& extent, uint16_t* mean) {
  const auto head_dim = static_cast<size_t>(extent.head_dim);
  for (size_t c = 0; c < head_dim; c++) {
    float sum = 0;
    for (size_t i = c; i < elements.size(); i += head_dim) sum += elements[i];
    mean[c] = float_to_half(sum / static_cast<float>(extent.tokens));
    for (size_t i = c; i < elements.size(); i += head_dim) elements[i] -= half_to_float(mean[c]);
  }
}

/// Codes [tokens][head_dim] elements. Those beyond halves, which rotating large ones may give,
/// become the largest half.
void encode_rest(std::span<float> elements, std::byte* out, const Extent& extent, int bits,
                 const GroupedLayout& layout, Place place) {
  const int largest = (1 << bits) - 1;
  const auto group = static_cast<size_t>(layout.group);
  auto* codes = at_offset<uint8_t>(out, layout.codes);
  for (float& element : elements) element = clamped_to_halves(element);
  for (int t = 0; t < extent.tokens; t++) {
    for (int g = 0; g < layout.groups; g++, elements = elements.subspan(group)) {
      const auto channels = elements.first(group);
      const Affine grid = fitted_affine([&](int c) { return channels[static_cast<size_t>(c)]; },
                                        layout.group, largest);
      const AffineCoder code(grid, largest);
      const size_t at = area(g, extent.capacity) + static_cast<size_t>(t);
      at_offset<uint16_t>(out, layout.scale)[at] = grid.step;
      at_offset<uint16_t>(out, layout.zero)[at] = grid.zero;
      for (int c = 0; c < layout.group; c++)
        put(codes, place(extent, t, g * layout.group + c, bits),
            code(channels[static_cast<size_t>(c)]));
    }
  }
}

/// The token's elements without the mean.
void decode_rest(const std::byte* coded, const Extent& extent, int bits, int token,
                 const GroupedLayout& layout, Place place, std::span<float> elements) {
  const auto* codes = at_offset<uint8_t>(coded, layout.codes);
  for (int c = 0; c < extent.head_dim; c++) {
    const size_t at = area(c / layout.group, extent.capacity) + static_cast<size_t>(token);
    const Affine grid{at_offset<uint16_t>(coded, layout.zero)[at],
                      at_offset<uint16_t>(coded, layout.scale)[at]};
    elements[static_cast<size_t>(c)] = grid.decode(get(codes, place(extent, token, c, bits), bits));
  }
}

}  // namespace

void encode_keys_int4(const uint16_t* halves, std::byte* out, const Extent& extent) {
  const GroupedLayout layout = int4_layout(extent);
  std::memset(out, 0, layout.bytes);
  std::vector<float> elements;
  for (int t = 0; t < extent.tokens; t++)
    for (int c = 0; c < extent.head_dim; c++)
      elements.push_back(half_to_float(halves[key_index(extent, t, c)]));
  take_mean(elements, extent, at_offset<uint16_t>(out, layout.mean));
  for (int t = 0; t < extent.tokens; t++)
    rotate(elements.data() + area(t, extent.head_dim), extent.head_dim);
  encode_rest(elements, out, extent, 4, layout, key_place);
}

void decode_keys_int4(const std::byte* coded, uint16_t* halves, const Extent& extent) {
  const GroupedLayout layout = int4_layout(extent);
  std::vector<float> elements(static_cast<size_t>(extent.head_dim));
  for (int t = 0; t < extent.tokens; t++) {
    decode_rest(coded, extent, 4, t, layout, key_place, elements);
    rotate(elements.data(), extent.head_dim);
    for (int c = 0; c < extent.head_dim; c++)
      halves[key_index(extent, t, c)] =
          float_to_half(half_to_float(at_offset<uint16_t>(coded, layout.mean)[c]) +
                        elements[static_cast<size_t>(c)]);
  }
}

void encode_values_grouped(const uint16_t* halves, std::byte* out, const Extent& extent, int bits,
                           const GroupedLayout& layout) {
  std::memset(out, 0, layout.bytes);
  std::vector<float> elements;
  for (int t = 0; t < extent.tokens; t++)
    for (int c = 0; c < extent.head_dim; c++)
      elements.push_back(half_to_float(halves[value_index(extent, t, c)]));
  take_mean(elements, extent, at_offset<uint16_t>(out, layout.mean));
  encode_rest(elements, out, extent, bits, layout, value_place);
}

void decode_values_grouped(const std::byte* coded, uint16_t* halves, const Extent& extent, int bits,
                           const GroupedLayout& layout) {
  std::vector<float> elements(static_cast<size_t>(extent.head_dim));
  for (int t = 0; t < extent.tokens; t++) {
    decode_rest(coded, extent, bits, t, layout, value_place, elements);
    for (int c = 0; c < extent.head_dim; c++)
      halves[value_index(extent, t, c)] =
          float_to_half(half_to_float(at_offset<uint16_t>(coded, layout.mean)[c]) +
                        elements[static_cast<size_t>(c)]);
  }
}

}  // namespace sightline::attention
