#pragma once
// Blocks with random contents, in the copies that a batch at their end reads.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "attention/format/access.h"
#include "attention/format/format.h"
#include "attention/format/fp16.h"
#include "attention/half.h"

namespace sightline::attention::test {

inline const Tier kInt8{Format::int8, Format::int8};

/// Every pair of formats that a copy may have, but for lowrank keys, which take long to factorise:
/// they are there with one format of values.
inline std::vector<Tier> all_tiers() {
  std::vector<Tier> tiers{{Format::lowrank, Format::int8}};
  for (const Format k : {Format::fp16, Format::fp8, Format::int8, Format::int4})
    for (const Format v : {Format::fp16, Format::fp8, Format::int8, Format::int4, Format::int2})
      tiers.push_back({k, v});
  return tiers;
}

/// One KV head's part in a tier, from halves in the fp16 layout.
inline std::vector<std::byte> encode(Tier tier, const std::vector<uint16_t>& k,
                                     const std::vector<uint16_t>& v, const Extent& extent) {
  std::vector<std::byte> part(part_bytes(tier, extent));
  encode_keys(tier.k, k.data(), part.data(), extent);
  encode_values(tier.v, v.data(), part.data() + values_offset(tier, extent), extent);
  return part;
}

struct Case {
  Shape shape;
  int past;  // tokens in the cache before the queries
  int sink = 16;
  int window = 256;
  Tier tier = kInt8;              // of what has left the window
  std::optional<Tier> last = {};  // of what has left twice the window
  int kept = 0;                   // tokens that the coded copies keep; 0: all
  float softcap = 0;
  bool sinks = false;
  bool slopes = false;
  bool mask = false;
  float key_offset = 0;
  float value_factor = 1;  // of the values of every third token, those that the mask hides
  int observed = 0;        // tokens at the end whose attention received is asked for
};

struct Fixture {
  Case given;
  int length;
  std::vector<float> q, sinks, slopes, mass;
  std::vector<uint16_t> mask;
  std::vector<int32_t> visible;
  std::deque<std::vector<std::byte>> storage;  // copies point into these
  std::deque<std::vector<int32_t>> positions;
  std::vector<Block> blocks;

  Fixture(const Case& wanted, uint32_t seed)
      : given(wanted), length(wanted.past + wanted.shape.tokens), random_(seed) {
    const Shape& shape = given.shape;
    q = normals(static_cast<size_t>(shape.tokens * shape.heads * shape.head_dim));
    sinks = normals(static_cast<size_t>(shape.heads));
    for (const float x : normals(static_cast<size_t>(shape.heads))) slopes.push_back(std::fabs(x));
    for (int i = 0; i < shape.tokens; i++) visible.push_back(given.past + i + 1);
    for (int i = 0; given.mask && i < shape.tokens; i++)
      for (int t = 0; t < length; t++)
        mask.push_back(
            float_to_half(t % 3 == i % 3 ? -INFINITY : -0.01f * static_cast<float>(length - t)));
    for (int first = 0; first < length; first = blocks.back().end()) add_block(first);
  }

  Problem problem(std::vector<float>& out) {
    const Shape& shape = given.shape;
    out.assign(q.size(), -1.0f);
    const int64_t token_stride = int64_t{shape.heads} * shape.head_dim;
    const int64_t observed = std::min(given.observed, length);
    mass.assign(static_cast<size_t>(observed * shape.kv_heads), 0.0f);
    Received received;
    if (observed > 0)
      received = {static_cast<int32_t>(length - observed), static_cast<int32_t>(observed), observed,
                  mass.data()};
    return {.shape = shape,
            .q = {q.data(), token_stride, shape.head_dim},
            .out = {out.data(), token_stride, shape.head_dim},
            .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
            .softcap = given.softcap,
            .sinks = given.sinks ? sinks.data() : nullptr,
            .slopes = given.slopes ? slopes.data() : nullptr,
            .visible = visible.data(),
            .mask = given.mask ? mask.data() : nullptr,
            .mask_stride = length,
            .blocks = blocks,
            .received = received};
  }

 private:
  std::vector<float> normals(size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random_);
    return values;
  }

  void add_block(int first) {
    const int head_dim = given.shape.head_dim;
    const bool is_sink = first < given.sink;
    const int room = is_sink ? given.sink : kBlockTokens;
    const int capacity = (room + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
    const Extent extent{head_dim, capacity, std::min(room, length - first)};
    Block block{.first = first, .tokens = extent.tokens, .count = 0, .copies = {}};

    std::vector<std::vector<uint16_t>> k, v;
    for (int h = 0; h < given.shape.kv_heads; h++) {
      const auto rows = static_cast<size_t>(extent.tokens * head_dim);
      auto keys = normals(rows);
      for (size_t i = 0; i < rows; i += 5) keys[i] += given.key_offset;
      auto values = normals(rows);
      for (int t = 0; t < extent.tokens; t++)
        if ((first + t) % 3 == 0)
          for (int c = 0; c < head_dim; c++)
            values[static_cast<size_t>(t * head_dim + c)] *= given.value_factor;
      k.emplace_back(area(head_dim, capacity));
      v.emplace_back(area(head_dim, capacity));
      const Rows shaped{nullptr, static_cast<size_t>(head_dim), extent.tokens};
      store_keys(k.back().data(), extent, 0, {keys.data(), shaped.stride, shaped.count});
      store_values(v.back().data(), extent, 0, {values.data(), shaped.stride, shaped.count});
    }

    // A copy is there where a query of the batch reads it.
    const int32_t coded = first + kBlockTokens + given.window;
    const int32_t again = coded + given.window;
    const bool has_last = given.last.has_value() && !is_sink && again <= length;
    const bool has_coded = !is_sink && coded <= length && !(has_last && given.past + 1 >= again);
    if (is_sink || coded > given.past + 1) add_copy(block, {}, extent, 0, k, v);
    if (has_coded) add_copy(block, given.tier, extent, coded, k, v);
    if (has_last) add_copy(block, *given.last, extent, again, k, v);
    blocks.push_back(block);
  }

  void add_copy(Block& block, Tier tier, Extent extent, int32_t from,
                const std::vector<std::vector<uint16_t>>& k,
                const std::vector<std::vector<uint16_t>>& v) {
    if (tier.k == Format::lowrank) extent.rank = extent.head_dim / 2;
    Extent kept = extent;
    const bool drops = given.kept > 0 && from > 0;
    if (drops) kept.tokens = given.kept;
    if (drops) kept.capacity = (given.kept + kTokenGranule - 1) / kTokenGranule * kTokenGranule;

    auto& data = storage.emplace_back();
    std::vector<int32_t> where;
    for (size_t h = 0; h < k.size(); h++) {
      std::vector<uint16_t> keys(area(kept.head_dim, kept.capacity)), values(keys.size());
      for (int i = 0; i < kept.tokens; i++) {
        // every head keeps other tokens
        const int t = drops ? (i * extent.tokens + static_cast<int>(h)) / kept.tokens : i;
        if (drops) where.push_back(block.first + t);
        for (int c = 0; c < kept.head_dim; c++) {
          keys[key_index(kept, i, c)] = k[h][key_index(extent, t, c)];
          values[value_index(kept, i, c)] = v[h][value_index(extent, t, c)];
        }
      }
      where.resize(drops ? (h + 1) * static_cast<size_t>(kept.capacity) : 0);
      const auto part = encode(tier, keys, values, kept);
      data.insert(data.end(), part.begin(), part.end());
    }
    if (drops) positions.push_back(std::move(where));
    block.copies[static_cast<size_t>(block.count++)] = {
        .data = data.data(),
        .tier = tier,
        .rank = static_cast<int16_t>(kept.rank),
        .capacity = kept.capacity,
        .tokens = kept.tokens,
        .positions = drops ? positions.back().data() : nullptr,
        .from = from};
  }

  std::mt19937 random_;
};

/// Infinite where `a` has what is not finite.
inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++)
    largest = std::max(largest, std::isfinite(a[i]) ? std::fabs(double{a[i]} - b[i]) : INFINITY);
  return largest;
}

}  // namespace sightline::attention::test
