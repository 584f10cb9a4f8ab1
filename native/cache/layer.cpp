#include "cache/layer.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

#include "attention/format/format.h"

namespace sightline::cache {

using attention::Block;
using attention::Copy;
using attention::Format;
using attention::kBlockTokens;

namespace {

// Memory that the pool holds beyond what is in use is worth moving copies for from this share on.
constexpr size_t kSpareShare = 16;

/// The pool's slots are ours to write; blocks show them to attention as read-only.
std::byte* writable(const std::byte* slot) { return const_cast<std::byte*>(slot); }

/// FP16, of all the block's tokens: can be shortened and appended to.
bool is_plain(const Copy& copy) {
  return copy.tier.k == Format::fp16 && copy.tier.v == Format::fp16 && copy.data != nullptr &&
         copy.positions == nullptr;
}

/// A copy in the same form as the one before it is the same slot, which it keeps when that goes.
bool is_same_slot(const Block& block, int32_t which, int32_t other) {
  if (other < 0 || other >= block.count) return false;
  const std::byte* data = block.copies[static_cast<size_t>(which)].data;
  return data != nullptr && data == block.copies[static_cast<size_t>(other)].data;
}

}  // namespace

Layer::Layer(Common& common, int32_t index)
    : common_(common), ladder_(cache::ladder(common.policy, index)) {}

int32_t Layer::sink_blocks() const {
  return (common_.policy.sink + kBlockTokens - 1) / kBlockTokens;
}

int32_t Layer::block_at(int32_t position) const {
  const int32_t sink = common_.policy.sink;
  return position < sink ? position / kBlockTokens
                         : sink_blocks() + (position - sink) / kBlockTokens;
}

/// Tokens a block takes; a sink may be smaller than the granule its storage is rounded up to.
int32_t Layer::room(const Block& block) const {
  const int32_t sink = common_.policy.sink - block.first;
  return sink > 0 ? std::min(sink, kBlockTokens) : kBlockTokens;
}

size_t& Layer::bytes_row(int32_t index, int32_t level) {
  return bytes_[index < sink_blocks() ? 0 : 1 + static_cast<size_t>(level)];
}

/// Counts (sign 1) or discounts (-1) what a block adds to the sums over tokens.
void Layer::count_tokens(int32_t index, int sign) {
  const Block& b = block(index);
  if (b.count == 0) return;
  const auto last = static_cast<size_t>(b.count) - 1;
  dropped_ += sign * (b.tokens - b.copies[last].tokens);
  if (entry(index).level[last] == 0) degraded_ += sign * entry(index).degraded;
}

/// A block's last copy is another one: the blocks at a level or above are always the oldest ones.
void Layer::note_level(int32_t index) {
  const int32_t behind = index - sink_blocks();
  if (behind < 0) return;
  const int32_t copies = block(index).count;
  const int32_t level = copies == 0 ? -1 : entry(index).level[static_cast<size_t>(copies) - 1];
  for (int32_t l = 0; l < static_cast<int32_t>(reached_.size()); l++) {
    int32_t& reached = reached_[static_cast<size_t>(l)];
    reached = l <= level ? std::max(reached, behind + 1) : std::min(reached, behind);
  }
}

void Layer::add_copy(int32_t index, const Copy& copy, int32_t level) {
  Block& b = block(index);
  assert(b.count < Block::kMostCopies);
  count_tokens(index, -1);
  const int32_t which = b.count++;
  b.copies[static_cast<size_t>(which)] = copy;
  entry(index).level[static_cast<size_t>(which)] = static_cast<uint8_t>(level);
  if (!is_same_slot(b, which, which - 1)) bytes_row(index, level) += slot_bytes(geometry_, copy);
  if (which == 1) moving_.insert(std::lower_bound(moving_.begin(), moving_.end(), index), index);
  count_tokens(index, 1);
  note_level(index);
}

void Layer::drop_copy(int32_t index, int32_t which) {
  Block& b = block(index);
  Entry& e = entry(index);
  count_tokens(index, -1);
  const auto at = static_cast<size_t>(which);
  const Copy copy = b.copies[at];
  const int32_t level = e.level[at];
  const size_t bytes = slot_bytes(geometry_, copy);
  if (is_same_slot(b, which, which - 1)) {
    // counted with the one before
  } else if (is_same_slot(b, which, which + 1)) {
    bytes_row(index, level) -= bytes;
    bytes_row(index, e.level[at + 1]) += bytes;
  } else if (copy.data != nullptr) {
    bytes_row(index, level) -= bytes;
    common_.pool.release(copy.data, bytes);
  }
  std::copy(b.copies.begin() + which + 1, b.copies.begin() + b.count, b.copies.begin() + which);
  std::copy(e.level.begin() + which + 1, e.level.begin() + b.count, e.level.begin() + which);
  b.count--;
  if (b.count == 1) moving_.erase(std::lower_bound(moving_.begin(), moving_.end(), index));
  if (b.count > 0 && e.level[0] > 0) e = {e.level, 0, {}, {}};
  count_tokens(index, 1);
  note_level(index);
}

/// Frees the copies that neither the sequence as it stands nor as it was held reads.
void Layer::drop_unread(int32_t index) {
  const int32_t length = std::min(length_, common_.hold);
  while (block(index).count > 1 && block(index).copies[1].from <= length) drop_copy(index, 0);
}

void Layer::drop_unread() {
  for (size_t i = moving_.size(); i-- > 0;) drop_unread(moving_[i]);
}

void Layer::pop_block() {
  const int32_t last = count() - 1;
  while (block(last).count > 0) drop_copy(last, block(last).count - 1);
  blocks_.pop_back();
  entries_.pop_back();
}

/// Of a block that has its FP16 copy only.
void Layer::set_tokens(int32_t index, int32_t tokens) {
  Block& b = block(index);
  Entry& e = entry(index);
  assert(b.count == 1 && is_plain(b.copies[0]));
  count_tokens(index, -1);
  for (size_t at = 0; at < e.mass.size(); at += kBlockTokens) {
    const auto mass = e.mass.begin() + static_cast<ptrdiff_t>(at);
    std::fill(mass + tokens, mass + std::max(tokens, b.tokens), 0.0f);
  }
  b.tokens = b.copies[0].tokens = tokens;
  e.degraded = std::min(e.degraded, tokens);
  count_tokens(index, 1);
}

/// Of a block whose coded form is FP16 as well: cut, it starts at level 0 again.
void Layer::forget_coding(int32_t index) {
  Block& b = block(index);
  const size_t bytes = slot_bytes(geometry_, b.copies[0]);
  bytes_row(index, entry(index).level[0]) -= bytes;
  bytes_row(index, 0) += bytes;
  entry(index).level[0] = 0;
  b.copies[0].from = 0;
  note_level(index);
}

int32_t Layer::revocable_end() const {
  const int32_t sink = common_.policy.sink;
  const int32_t first = length_ < sink ? 0 : sink;
  const int32_t block_end = first + ((length_ - first) / kBlockTokens + 1) * kBlockTokens;
  int32_t end = length_ < sink ? std::min(block_end, sink) : block_end;
  for (int32_t level = 1; level < static_cast<int32_t>(ladder_.size()); level++) {
    int32_t next = reached_[static_cast<size_t>(level)];
    while (common_.schedule.from(next, level) <= length_ + 1) next++;
    end = std::min(end, common_.schedule.from(next, level) - 1);
  }
  return end;
}

int32_t Layer::kept_exactly(int32_t length) const {
  const int32_t index = block_at(length);
  if (index >= count()) return std::min(length, length_);
  const Block& b = block(index);
  return b.first < length && !is_plain(b.copies[0]) ? b.first : length;
}

bool Layer::can_reopen(int32_t length) const {
  const int32_t index = block_at(length);
  return index >= count() || block(index).first == length ||
         block(index).copies[0].tokens == block(index).tokens;
}

void Layer::cut(int32_t length) {
  assert(jobs_.empty());
  while (!blocks_.empty() && blocks_.back().first >= length) pop_block();
  for (size_t i = moving_.size(); i-- > 0;) {
    const int32_t index = moving_[i];
    while (block(index).count > 1 &&
           block(index).copies[static_cast<size_t>(block(index).count) - 1].from > length)
      drop_copy(index, block(index).count - 1);
  }
  if (!blocks_.empty() && length < blocks_.back().end()) {
    set_tokens(count() - 1, length - blocks_.back().first);
    forget_coding(count() - 1);
  }
  if (length == common_.hold && length < length_)
    each_uncoded([](Entry& e) {
      if (!e.held_mass.empty()) e.mass = e.held_mass;
    });
  length_ = std::min(length_, length);
  pending_ = 0;
}

bool Layer::reopen(int32_t length) {
  if (kept_exactly(length) == length) {
    cut(length);
    return true;
  }
  const int32_t index = block_at(length);
  cut(block(index).end());
  Block& b = block(index);
  while (b.count > 1) drop_copy(index, b.count - 1);
  Copy plain;
  plain.capacity = kBlockTokens;
  plain.tokens = b.tokens;
  std::byte* slot = common_.pool.allocate(slot_bytes(geometry_, plain), *memory_);
  if (slot == nullptr) return false;
  plain.data = slot;
  memory_->recode(geometry_, b.first, b.copies[0], plain);
  add_copy(index, plain, 0);
  drop_copy(index, 0);
  count_tokens(index, -1);
  entry(index).degraded = b.tokens;
  count_tokens(index, 1);
  set_tokens(index, length - b.first);
  length_ = length;
  return true;
}

void Layer::compact() {
  const auto move = [&](int32_t index) {
    Block& b = block(index);
    const size_t bytes = slot_bytes(geometry_, b.copies[0]);
    if (b.count > 1 || common_.pool.is_shared(b.copies[0].data, bytes)) return true;
    std::byte* lowest = common_.pool.allocate(bytes, *memory_);
    if (lowest == nullptr) return false;
    std::byte* freed = writable(b.copies[0].data);
    if (std::less<>{}(lowest, freed)) {
      memory_->copy(lowest, freed, bytes);
      b.copies[0].data = std::exchange(lowest, freed);
    }
    common_.pool.release(lowest, bytes);
    return true;
  };
  for (int32_t index = 0; index < count(); index++) {
    if (index == sink_blocks()) index = std::min(first_uncoded(), count());
    // Where nothing of note is to be gained, or the budget has no room to move.
    const Pool& pool = common_.pool;
    if (pool.reserved() - pool.used() <= pool.used() / kSpareShare) return;
    if (index < count() && !move(index)) return;
  }
}

void Layer::share(const Layer& other) {
  geometry_ = other.geometry_;
  memory_ = other.memory_;
  length_ = other.length_;
  blocks_ = other.blocks_;
  entries_ = other.entries_;
  moving_ = other.moving_;
  bytes_ = other.bytes_;
  reached_ = other.reached_;
  dropped_ = other.dropped_;
  degraded_ = other.degraded_;
  for (const Block& b : blocks_)
    for (int32_t which = 0; which < b.count; which++) {
      const Copy& copy = b.copies[static_cast<size_t>(which)];
      if (copy.data != nullptr && !is_same_slot(b, which, which - 1))
        common_.pool.retain(copy.data, slot_bytes(geometry_, copy));
    }
  hold();
}

bool Layer::adopt(const Block& saved, Entry saved_entry) {
  Copy copy = saved.copies[0];
  if (copy.data != nullptr) {
    const size_t bytes = slot_bytes(geometry_, copy);
    std::byte* slot = common_.pool.allocate(bytes, *memory_);
    if (slot == nullptr) return false;
    memory_->bring(geometry_, copy, slot);
    copy = moved_to(geometry_, copy, slot);
  }
  Block b;
  b.first = saved.first;
  b.tokens = saved.tokens;
  blocks_.push_back(b);
  const int32_t level = saved_entry.level[0];
  entries_.push_back(std::move(saved_entry));
  add_copy(count() - 1, copy, level);
  length_ = b.end();
  return true;
}

size_t Layer::shared_bytes() const {
  size_t sum = 0;
  for (const Block& b : blocks_)
    for (int32_t which = 0; which < b.count; which++) {
      const Copy& copy = b.copies[static_cast<size_t>(which)];
      const size_t bytes = slot_bytes(geometry_, copy);
      if (copy.data != nullptr && !is_same_slot(b, which, which - 1) &&
          common_.pool.is_shared(copy.data, bytes))
        sum += bytes;
    }
  return sum;
}

}  // namespace sightline::cache
