#include "cache/coding.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "attention/format/format.h"
#include "attention/format/lowrank.h"

namespace sightline::cache {

using attention::Copy;
using attention::Extent;
using attention::Format;

namespace {

Format format_of(const Copy& copy, Side side) {
  return side == Side::keys ? copy.tier.k : copy.tier.v;
}

std::byte* writable(const std::byte* slot) { return const_cast<std::byte*>(slot); }

/// The tokens at `kept` of keys (values), as the fp16 format lays them out.
std::vector<uint16_t> gathered(const uint16_t* halves, const Extent& from, const Extent& to,
                               Side side, const int32_t* kept) {
  const auto index = side == Side::keys ? attention::key_index : attention::value_index;
  std::vector<uint16_t> out(attention::area(to.head_dim, to.capacity));
  for (int t = 0; t < to.tokens; t++)
    for (int c = 0; c < to.head_dim; c++) out[index(to, t, c)] = halves[index(from, kept[t], c)];
  return out;
}

/// The halves of a KV head's keys (values): where they lie, or decoded into `room`.
const uint16_t* halves_of(Geometry geometry, const Copy& copy, Side side, int32_t kv_head,
                          std::vector<uint16_t>& room) {
  if (format_of(copy, side) == Format::fp16)
    return attention::at_offset<uint16_t>(side_of(geometry, copy, side, kv_head), 0);
  room.resize(attention::area(geometry.head_dim, copy.capacity));
  decode(geometry, copy, side, kv_head, room.data());
  return room.data();
}

}  // namespace

const std::byte* side_of(Geometry geometry, const Copy& copy, Side side, int32_t kv_head) {
  const Extent extent = copy.extent(geometry.head_dim);
  return copy.data + attention::part_bytes(copy.tier, extent) * static_cast<size_t>(kv_head) +
         (side == Side::keys ? 0 : attention::values_offset(copy.tier, extent));
}

void decode(Geometry geometry, const Copy& copy, Side side, int32_t kv_head, uint16_t* halves) {
  const auto decode_side = side == Side::keys ? attention::decode_keys : attention::decode_values;
  decode_side(format_of(copy, side), side_of(geometry, copy, side, kv_head), halves,
              copy.extent(geometry.head_dim));
}

void recode(Geometry geometry, int32_t first, const Copy& from, const Copy& to, Side side,
            int32_t kv_head) {
  const Extent source = from.extent(geometry.head_dim);
  const Extent target = to.extent(geometry.head_dim);
  const Format format = format_of(to, side);
  std::byte* out = writable(side_of(geometry, to, side, kv_head));
  if (to.positions == nullptr && format == format_of(from, side) && from.rank == to.rank) {
    const auto bytes = side == Side::keys ? attention::key_bytes : attention::value_bytes;
    std::memcpy(out, side_of(geometry, from, side, kv_head), bytes(format, source));
    return;
  }
  std::vector<uint16_t> decoded;
  const uint16_t* halves = halves_of(geometry, from, side, kv_head, decoded);
  std::vector<uint16_t> selected;
  if (to.positions != nullptr) {
    const int32_t* positions = to.positions + kv_head * to.capacity;
    std::vector<int32_t> kept(positions, positions + to.tokens);
    for (int32_t& token : kept) token -= first;
    selected = gathered(halves, source, target, side, kept.data());
    halves = selected.data();
  }
  const auto encode = side == Side::keys ? attention::encode_keys : attention::encode_values;
  encode(format, halves, out, target);
}

int32_t rank_for(Geometry geometry, const Copy& copy, float energy) {
  std::vector<uint16_t> room;
  int32_t rank = 0;
  for (int32_t head = 0; head < geometry.kv_heads; head++) {
    const uint16_t* halves = halves_of(geometry, copy, Side::keys, head, room);
    rank = std::max(rank, attention::rank_for_energy(halves, copy.extent(geometry.head_dim),
                                                     static_cast<double>(energy)));
  }
  return (rank + 3) / 4 * 4;
}

}  // namespace sightline::cache
