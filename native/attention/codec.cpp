#include "attention/codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "attention/half.h"

namespace sightline::attention {
namespace {

template <typename T>
T* at_offset(std::byte* part, size_t offset) {
  return reinterpret_cast<T*>(part + offset);
}

template <typename T>
const T* at_offset(const std::byte* part, size_t offset) {
  return reinterpret_cast<const T*>(part + offset);
}

/// 1 / step, or 0 where every element equals the zero point.
float inverse(float step) { return step > 0.0f ? 1.0f / step : 0.0f; }

/// The nearest half that is finite; NaN stays NaN. An infinite element would spoil its whole
/// channel.
uint16_t finite_half(float value) {
  constexpr float kLargest = 65504.0f;
  return float_to_half(std::clamp(value, -kLargest, kLargest));
}

/// Rounds to a code from `low` to `high`; NaN, which no integer is, gives `low`.
template <typename Code>
Code to_code(float value, float low, float high) {
  const float code = std::nearbyint(value);
  return static_cast<Code>(code > low ? (code < high ? code : high) : low);
}

}  // namespace

void store_keys(std::byte* part, int head_dim, int capacity, int at, Rows rows) {
  uint16_t* keys = at_offset<uint16_t>(part, Fp16Layout(head_dim, capacity).k);
  for (int c = 0; c < head_dim; c++) {
    uint16_t* channel = keys + static_cast<size_t>(c) * static_cast<size_t>(capacity) + at;
    const float* source = rows.data + c;
    for (int t = 0; t < rows.count; t++, source += rows.stride) channel[t] = finite_half(*source);
  }
}

void store_values(std::byte* part, int head_dim, int capacity, int at, Rows rows) {
  uint16_t* values = at_offset<uint16_t>(part, Fp16Layout(head_dim, capacity).v);
  values += static_cast<size_t>(at) * static_cast<size_t>(head_dim);
  const float* source = rows.data;
  for (int t = 0; t < rows.count; t++, source += rows.stride, values += head_dim) {
    for (int c = 0; c < head_dim; c++) values[c] = finite_half(source[c]);
  }
}

void code_keys_int8(const std::byte* fp16, std::byte* int8, int head_dim) {
  const Int8Layout layout(head_dim, kBlockTokens);
  const uint16_t* keys = at_offset<uint16_t>(fp16, Fp16Layout(head_dim, kBlockTokens).k);
  auto* codes = at_offset<uint8_t>(int8, layout.k);
  auto* scales = at_offset<uint16_t>(int8, layout.k_scale);
  auto* zeros = at_offset<uint16_t>(int8, layout.k_zero);

  std::array<float, kBlockTokens> channel;
  for (int c = 0; c < head_dim; c++, keys += kBlockTokens, codes += kBlockTokens) {
    std::transform(keys, keys + kBlockTokens, channel.begin(), half_to_float);
    const auto [low, high] = std::minmax_element(channel.begin(), channel.end());
    zeros[c] = half_at_most(*low);
    const float zero = half_to_float(zeros[c]);
    scales[c] = half_at_least((*high - zero) / 255.0f);
    const float inverse_step = inverse(half_to_float(scales[c]));
    for (int t = 0; t < kBlockTokens; t++) {
      const float element = channel[static_cast<size_t>(t)];
      codes[t] = to_code<uint8_t>((element - zero) * inverse_step, 0.0f, 255.0f);
    }
  }
}

void code_values_int8(const std::byte* fp16, std::byte* int8, int head_dim) {
  const Int8Layout layout(head_dim, kBlockTokens);
  const uint16_t* values = at_offset<uint16_t>(fp16, Fp16Layout(head_dim, kBlockTokens).v);
  auto* codes = at_offset<int8_t>(int8, layout.v);
  auto* scales = at_offset<uint16_t>(int8, layout.v_scale);

  for (int t = 0; t < kBlockTokens; t++, values += head_dim, codes += head_dim) {
    float largest = 0.0f;
    for (int c = 0; c < head_dim; c++)
      largest = std::max(largest, std::fabs(half_to_float(values[c])));
    scales[t] = half_at_least(largest / 127.0f);
    const float inverse_step = inverse(half_to_float(scales[t]));
    for (int c = 0; c < head_dim; c++) {
      codes[c] = to_code<int8_t>(half_to_float(values[c]) * inverse_step, -127.0f, 127.0f);
    }
  }
}

}  // namespace sightline::attention
