#pragma once
// What the tests put into a sequence: the keys and values of numbered tokens, and the attention
// that a token pays to another one.

#include <cstdint>
#include <functional>
#include <vector>

#include "cache/sequence.h"

namespace sightline::test {

inline uint32_t mixed(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

inline uint32_t mixed(std::initializer_list<int32_t> numbers) {
  uint32_t x = 0;
  for (const int32_t n : numbers) x = mixed(x * 31 + static_cast<uint32_t>(n) + 1);
  return x;
}

/// An element of a token's keys or values, from -8 to 8; channels differ in offset.
inline float element(int32_t token, int32_t layer, cache::Side side, int32_t head, int32_t c) {
  const uint32_t x = mixed({token, layer, side == cache::Side::keys ? 0 : 1, head, c});
  return static_cast<float>(x % 1000) / 100.0f - 5.0f + static_cast<float>(c % 7 - 3);
}

/// Attention from one token to another, in steps that floats add up exactly in any order.
inline float attention_paid(int32_t from, int32_t to, int32_t layer, int32_t head) {
  return static_cast<float>(mixed({from, to, layer, head}) % 64) / 1024.0f;
}

/// A step from `first` on: `at_end` sees the sequence before the step is committed, or given up
/// where it returns false.
inline cache::Status append(
    cache::Sequence& sequence, int32_t first, const std::vector<int32_t>& tokens,
    const std::function<bool()>& at_end = [] { return true; }) {
  const auto count = static_cast<int32_t>(tokens.size());
  std::vector<int32_t> layers;
  for (int32_t layer = 0; layer < sequence.layers(); layer++)
    if (sequence.layer(layer).configured()) layers.push_back(layer);
  for (size_t i = 0; i < layers.size(); i++) {
    const int32_t layer = layers[i];
    const cache::Status status = sequence.begin(layer, first, count);
    if (status != cache::Status::ok) {
      for (size_t earlier = 0; earlier < i; earlier++) sequence.abandon(layers[earlier]);
      return status;
    }
  }
  for (const int32_t layer : layers) {
    const cache::Geometry geometry = sequence.layer(layer).geometry();
    std::vector<float> rows(static_cast<size_t>(count * geometry.head_dim) + 1);
    for (int32_t head = 0; head < geometry.kv_heads; head++) {
      for (const cache::Side side : {cache::Side::keys, cache::Side::values}) {
        for (int32_t i = 0; i < count; i++)
          for (int32_t c = 0; c < geometry.head_dim; c++)
            rows[static_cast<size_t>(i * geometry.head_dim + c)] =
                element(tokens[static_cast<size_t>(i)], layer, side, head, c);
        const attention::Rows all{rows.data(), static_cast<size_t>(geometry.head_dim), count};
        side == cache::Side::keys ? sequence.store_keys(layer, head, all)
                                  : sequence.store_values(layer, head, all);
      }
    }
    const attention::Received received = sequence.received(layer);
    if (received.mass == nullptr) continue;
    for (int32_t head = 0; head < geometry.kv_heads; head++)
      for (int32_t i = 0; i < count; i++)
        for (int32_t t = received.first; t <= first + i; t++)
          received.mass[head * received.stride + (t - received.first)] +=
              attention_paid(first + i, t, layer, head);
  }
  const bool finish = at_end();
  for (const int32_t layer : layers) finish ? sequence.commit(layer) : sequence.abandon(layer);
  return cache::Status::ok;
}

}  // namespace sightline::test
