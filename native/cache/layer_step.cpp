// The step appended to a layer: room for its tokens, blocks that pass to another level, attention
// received.

#include <algorithm>
#include <cassert>

#include "attention/format/format.h"
#include "cache/layer.h"

namespace sightline::cache {

using attention::Block;
using attention::Copy;
using attention::Format;
using attention::kBlockTokens;
using attention::kTokenGranule;

namespace {

constexpr int32_t rounded_up(int32_t tokens) {
  return (tokens + kTokenGranule - 1) / kTokenGranule * kTokenGranule;
}

uint16_t* halves_at(const std::byte* side) {
  return reinterpret_cast<uint16_t*>(const_cast<std::byte*>(side));
}

}  // namespace

int32_t Common::step_limit(int32_t length) const {
  const int32_t limit = policy.step_limit(length);
  return policy.needs_attention() && length < hold ? std::min(limit, hold - length) : limit;
}

Status Layer::begin(int32_t first, int32_t count) {
  if (first < 0 || first > length_ || kept_exactly(first) != first ||
      count > common_.step_limit(first))
    return Status::refused;
  cut(first);
  pending_ = count;
  const int32_t end = first + count;
  bool enough = own_last_block() && grow(end);
  for (int32_t level = 1; level < static_cast<int32_t>(ladder_.size()); level++)
    while (enough && is_due(level, end)) enough = raise(level);
  if (!enough) {
    abandon();
    return Status::exhausted;
  }
  open_mass(end);
  return Status::ok;
}

/// A block about to be appended to must not be another sequence's as well.
bool Layer::own_last_block() {
  if (pending_ == 0 || blocks_.empty()) return true;
  Block& last = blocks_.back();
  if (last.tokens == room(last)) return true;
  Copy& copy = last.copies[0];
  const size_t bytes = slot_bytes(geometry_, copy);
  if (!common_.pool.is_shared(copy.data, bytes)) return true;
  std::byte* own = common_.pool.allocate(bytes, *memory_);
  if (own == nullptr) return false;
  memory_->copy(own, copy.data, bytes);
  common_.pool.release(copy.data, bytes);
  copy.data = own;
  return true;
}

bool Layer::grow(int32_t end) {
  for (int32_t held = blocks_.empty() ? 0 : blocks_.back().end(); held < end;
       held = blocks_.back().end()) {
    if (blocks_.empty() || blocks_.back().tokens == room(blocks_.back())) {
      Block next;
      next.first = held;
      Copy copy;
      copy.capacity = rounded_up(room(next));
      copy.data = common_.pool.allocate(slot_bytes(geometry_, copy), *memory_);
      if (copy.data == nullptr) return false;
      blocks_.push_back(next);
      entries_.emplace_back();
      add_copy(this->count() - 1, copy, 0);
    }
    const Block& last = blocks_.back();
    set_tokens(count() - 1, std::min(room(last), end - last.first));
  }
  return true;
}

/// Whether the next block passes to a level by the time there are `end` tokens.
bool Layer::is_due(int32_t level, int32_t end) const {
  const int32_t next = reached_[static_cast<size_t>(level)];
  return next < reached_[static_cast<size_t>(level) - 1] &&
         common_.schedule.from(next, level) <= end;
}

const Block& Layer::next_block_at(int32_t level) const {
  return block(sink_blocks() + reached_[static_cast<size_t>(level)]);
}

/// Adds the copy of a level to the next block that passes to it. False where there is no memory.
bool Layer::raise(int32_t level) {
  const int32_t behind = reached_[static_cast<size_t>(level)];
  const int32_t index = sink_blocks() + behind;
  const Block& b = block(index);
  const Copy& last = b.copies[static_cast<size_t>(b.count) - 1];
  Copy next;
  next.from = common_.schedule.from(behind, level);
  if (const Level& form = ladder_[static_cast<size_t>(level)]; form.has_value()) {
    next.tier = *form;
    const Selection kept = selection(index);
    next.capacity = next.tokens = kept.count;
    if (next.tier.k == Format::lowrank) next.rank = static_cast<int16_t>(rank_of(last));
    if (next.tier == last.tier && kept.tokens.empty()) {
      next.data = last.data;
    } else {
      const size_t parts = parts_bytes(geometry_, next);
      std::byte* slot = common_.pool.allocate(
          parts + (kept.tokens.empty() ? 0 : positions_bytes(geometry_, next)), *memory_);
      if (slot == nullptr) return false;
      next.data = slot;
      if (!kept.tokens.empty()) {
        std::vector<int32_t> positions = kept.tokens;
        for (int32_t& position : positions) position += b.first;
        memory_->write(slot + parts, positions.data(), positions.size() * sizeof(int32_t));
        next.positions = attention::at_offset<int32_t>(slot, parts);
      }
    }
  }
  add_copy(index, next, level);
  jobs_.push_back({index, block(index).count - 1});
  return true;
}

int32_t Layer::rank_of(const Copy& copy) const {
  const Policy& policy = common_.policy;
  if (policy.rank > 0) return std::min(policy.rank, geometry_.head_dim);
  std::vector<std::byte> room;
  const Copy local = memory_->local(geometry_, copy, room);
  return std::min(rank_for(geometry_, local, policy.energy), geometry_.head_dim);
}

/// The tokens of a block that are kept; none listed where all are.
Selection Layer::selection(int32_t index) const {
  const Policy& policy = common_.policy;
  if (!policy.needs_attention()) return {kBlockTokens, {}};
  const auto first = static_cast<size_t>(block(index).first);
  std::vector<float> weights(kBlockTokens, kDefaultKindWeight);
  for (size_t t = 0; t < weights.size() && first + t < common_.kind_weights.size(); t++)
    weights[t] = common_.kind_weights[first + t];
  std::vector<float> mass = entries_[static_cast<size_t>(index)].mass;
  mass.resize(static_cast<size_t>(geometry_.kv_heads) * kBlockTokens);
  Selection kept = select(policy, mass, weights);
  if (kept.count == kBlockTokens) kept.tokens.clear();
  return kept;
}

/// Writes rows into the FP16 blocks of the step.
void Layer::write(Side side, int32_t kv_head, attention::Rows rows) {
  assert(rows.count == pending_);
  const auto store_side = side == Side::keys ? attention::store_keys : attention::store_values;
  each_segment([&](const Segment& segment) {
    const attention::Rows part{rows.data + rows.stride * static_cast<size_t>(segment.first),
                               rows.stride, segment.count};
    store_side(halves_at(side_of(geometry_, *segment.copy, side, kv_head)),
               segment.copy->extent(geometry_.head_dim), segment.at, part);
  });
}

/// Codes the blocks that pass to another level.
void Layer::code(Side side, int32_t kv_head) {
  each_recoding([&](const Recoding& coding) {
    recode(geometry_, coding.first, *coding.from, *coding.to, side, kv_head);
  });
}

void Layer::commit() {
  add_mass();
  length_ += pending_;
  pending_ = 0;
  jobs_.clear();
  received_ = {};
  if (length_ == common_.hold) keep_mass();
  drop_unread();
}

void Layer::abandon() {
  for (size_t i = jobs_.size(); i-- > 0;) drop_copy(jobs_[i].block, jobs_[i].copy);
  jobs_.clear();
  received_ = {};
  cut(length_);
}

void Layer::hold() {
  each_uncoded([](Entry& e) { e.held_mass.clear(); });
  if (length_ == common_.hold) keep_mass();
  drop_unread();
}

Status Layer::settle(int32_t end) {
  for (const int32_t index : moving_) {
    for (int32_t which = 1; which < block(index).count; which++) {
      const auto at = static_cast<size_t>(which);
      int32_t& from = block(index).copies[at].from;
      from = std::min(from, common_.schedule.from(index - sink_blocks(), entry(index).level[at]));
    }
  }
  drop_unread();
  for (int32_t level = 1; level < static_cast<int32_t>(ladder_.size()); level++) {
    while (is_due(level, end) && next_block_at(level).tokens == kBlockTokens) {
      if (!raise(level)) return Status::exhausted;
      each_recoding([&](const Recoding& coding) {
        memory_->recode(geometry_, coding.first, *coding.from, *coding.to);
      });
      const auto [index, which] = jobs_.back();
      jobs_.clear();
      int32_t& from = block(index).copies[static_cast<size_t>(which)].from;
      from = std::min(from, length_);
      drop_unread(index);
    }
  }
  return Status::ok;
}

attention::Received Layer::received() { return received_; }

/// Every token that may still be dropped counts: those behind the sink that are not yet coded.
void Layer::open_mass(int32_t end) {
  const int32_t first = common_.policy.sink + reached_[1] * kBlockTokens;
  if (!common_.policy.needs_attention() || first >= end) return;
  received_ = {.first = first, .count = end - first, .stride = rounded_up(end - first)};
  step_mass_.assign(static_cast<size_t>(geometry_.kv_heads * received_.stride), 0.0f);
  received_.mass = step_mass_.data();
}

void Layer::add_mass() {
  if (received_.mass == nullptr) return;
  for (int32_t index = first_uncoded(); index < count(); index++) {
    const Block& b = block(index);
    std::vector<float>& mass = entry(index).mass;
    mass.resize(static_cast<size_t>(geometry_.kv_heads) * kBlockTokens);
    for (int32_t head = 0; head < geometry_.kv_heads; head++) {
      const float* step = received_.mass + head * received_.stride + (b.first - received_.first);
      float* sum = mass.data() + static_cast<ptrdiff_t>(head) * kBlockTokens;
      for (int32_t t = 0; t < b.tokens; t++) sum[t] += step[t];
    }
  }
}

void Layer::keep_mass() {
  if (!common_.policy.needs_attention()) return;
  each_uncoded([&](Entry& e) {
    e.held_mass = e.mass;
    e.held_mass.resize(static_cast<size_t>(geometry_.kv_heads) * kBlockTokens);
  });
}

}  // namespace sightline::cache
