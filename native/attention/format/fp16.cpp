#include "attention/format/fp16.h"

#include "attention/half.h"

namespace sightline::attention {
namespace {

/// The nearest half that is finite; NaN stays NaN.
uint16_t finite_half(float value) { return float_to_half(clamped_to_halves(value)); }

}  // namespace

void store_keys(uint16_t* keys, const Extent& extent, int at, Rows rows) {
  const float* source = rows.data;
  for (int t = at; t < at + rows.count; t++, source += rows.stride)
    for (int c = 0; c < extent.head_dim; c++)
      keys[key_index(extent, t, c)] = finite_half(source[c]);
}

void store_values(uint16_t* values, const Extent& extent, int at, Rows rows) {
  const float* source = rows.data;
  for (int t = at; t < at + rows.count; t++, source += rows.stride)
    for (int c = 0; c < extent.head_dim; c++)
      values[value_index(extent, t, c)] = finite_half(source[c]);
}

}  // namespace sightline::attention
