#include "attention/format/fp16.h"

#include <algorithm>

#include "attention/half.h"

namespace sightline::attention {
namespace {

/// The nearest half that is finite; NaN stays NaN.
uint16_t finite_half(float value) {
  constexpr float kLargest = 65504.0f;
  return float_to_half(std::clamp(value, -kLargest, kLargest));
}

}  // namespace

void store_keys(uint16_t* keys, const Extent& extent, int at, Rows rows) {
  for (int c = 0; c < extent.head_dim; c++) {
    uint16_t* channel = keys + area(c, extent.capacity) + at;
    const float* source = rows.data + c;
    for (int t = 0; t < rows.count; t++, source += rows.stride) channel[t] = finite_half(*source);
  }
}

void store_values(uint16_t* values, const Extent& extent, int at, Rows rows) {
  values += area(at, extent.head_dim);
  const float* source = rows.data;
  for (int t = 0; t < rows.count; t++, source += rows.stride, values += extent.head_dim) {
    for (int c = 0; c < extent.head_dim; c++) values[c] = finite_half(source[c]);
  }
}

}  // namespace sightline::attention
