#include "attention/cuda/recode.h"

#include "attention/format/format.h"

namespace sightline::attention::cuda {
namespace {

/// The parts of a copy as the kernels find them.
struct Parts {
  const Copy& copy;
  Extent extent;
  size_t part_bytes, values_offset;

  Parts(const Copy& of, int head_dim)
      : copy(of),
        extent(of.extent(head_dim)),
        part_bytes(attention::part_bytes(of.tier, extent)),
        values_offset(attention::values_offset(of.tier, extent)) {}

  Format format(bool keys) const { return keys ? copy.tier.k : copy.tier.v; }
  const std::byte* at(int head, bool keys) const {
    return copy.data + part_bytes * static_cast<size_t>(head) + (keys ? 0 : values_offset);
  }
};

}  // namespace

void RecodeJobs::add(int kv_heads, int head_dim, int32_t first, const Copy& from, const Copy& to) {
  const Parts source(from, head_dim), target(to, head_dim);
  for (int head = 0; head < kv_heads; head++) {
    for (const bool keys : {true, false}) {
      auto* const out = const_cast<std::byte*>(target.at(head, keys));
      const bool drops = to.positions != nullptr;
      const bool is_same = source.format(keys) == target.format(keys) && !drops;
      const bool is_plain = source.format(keys) == Format::fp16 && !drops;
      CodeJob code{.halves = source.at(head, keys),
                   .coded = out,
                   .head_dim = head_dim,
                   .capacity = to.capacity,
                   .tokens = to.tokens,
                   .copied_bytes = 0,
                   .format = target.format(keys),
                   .keys = keys};
      if (is_same) {
        const auto bytes = keys ? key_bytes : value_bytes;
        code.copied_bytes = static_cast<int32_t>(bytes(source.format(keys), source.extent));
      }
      if (is_same || is_plain) {
        codes_.push_back(code);
        continue;
      }
      restores_.push_back({.coded = source.at(head, keys),
                           .halves = out,
                           .kept = drops ? to.positions + head * to.capacity : nullptr,
                           .first = first,
                           .head_dim = head_dim,
                           .from_capacity = from.capacity,
                           .capacity = to.capacity,
                           .tokens = to.tokens,
                           .format = source.format(keys),
                           .keys = keys});
      if (target.format(keys) == Format::fp16) continue;
      between_.push_back({restores_.size() - 1, codes_.size(), scratch_bytes_});
      codes_.push_back(code);
      scratch_bytes_ += key_bytes(Format::fp16, target.extent);
    }
  }
}

void RecodeJobs::place_scratch(std::byte* scratch) {
  for (const Between& one : between_) {
    restores_[one.restore].halves = scratch + one.offset;
    codes_[one.code].halves = scratch + one.offset;
  }
}

}  // namespace sightline::attention::cuda
