#include "cache/cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>
#include <utility>

namespace sightline::cache {

using attention::Block;
using attention::Format;
using attention::kBlockTokens;

namespace {

// Memory that the pool holds beyond what is in use is worth moving copies for from this share on.
constexpr size_t kSpareShare = 16;

/// The pool's slots are ours to write; blocks show them to attention as read-only.
std::byte* writable(const std::byte* slot) { return const_cast<std::byte*>(slot); }

int32_t end_of(const Block& block) { return block.first + block.tokens; }

bool is_sink(const Block& block, const Policy& policy) { return block.first < policy.sink; }

/// Whether only the int8 copy of a block is left and `length` would cut it in two.
bool is_split_by(const Block& block, int32_t length) {
  return block.fp16 == nullptr && block.first < length && length < end_of(block);
}

}  // namespace

Cache::~Cache() { truncate(0); }

bool Cache::configure(int32_t layer, Geometry geometry) {
  const auto index = static_cast<size_t>(layer);
  if (index >= layers_.size()) layers_.resize(index + 1);
  Geometry& known = layers_[index].geometry;
  if (known == Geometry{}) known = geometry;
  return known == geometry;
}

size_t Cache::bytes_of(const Layer& layer, Format format, int32_t capacity) const {
  return attention::part_bytes(format, layer.geometry.head_dim, capacity) *
         static_cast<size_t>(layer.geometry.kv_heads);
}

std::byte* Cache::allocate(const Layer& layer, Format format, int32_t capacity) {
  return pool_.allocate(bytes_of(layer, format, capacity));
}

void Cache::free_fp16(const Layer& layer, Block& block) {
  if (block.fp16 == nullptr) return;
  pool_.release(writable(block.fp16), bytes_of(layer, Format::fp16, block.capacity));
  block.fp16 = nullptr;
}

void Cache::free_int8(const Layer& layer, Block& block) {
  if (block.int8 == nullptr) return;
  pool_.release(writable(block.int8), bytes_of(layer, Format::int8, block.capacity));
  block.int8 = nullptr;
}

/// The block that follows the layer's last one, still empty.
Block Cache::next_block(const Layer& layer) const {
  Block block{};
  block.first = layer.blocks.empty() ? 0 : end_of(layer.blocks.back());
  block.coded_from = std::numeric_limits<int32_t>::max();
  if (block.first < policy_.sink) {
    constexpr int32_t kGranule = attention::kTokenGranule;
    block.capacity = (policy_.sink - block.first + kGranule - 1) / kGranule * kGranule;
  } else {
    block.capacity = kBlockTokens;
    if (policy_.kind == PolicyKind::selective)
      block.coded_from = policy_.coded_from((block.first - policy_.sink) / kBlockTokens);
  }
  return block;
}

/// Tokens a block takes; a sink may be smaller than the granule its storage is rounded up to.
int32_t Cache::room(const Block& block) const {
  return is_sink(block, policy_) ? policy_.sink : block.capacity;
}

/// Drops the tokens from `length` on, and int8 copies that a sequence of that length does not read.
/// A block cut in the middle has its FP16 copy.
void Cache::cut(Layer& layer, int32_t length) {
  while (!layer.blocks.empty() && layer.blocks.back().first >= length) {
    free_fp16(layer, layer.blocks.back());
    free_int8(layer, layer.blocks.back());
    layer.blocks.pop_back();
  }
  if (!layer.blocks.empty()) {
    Block& last = layer.blocks.back();
    last.tokens = std::min(last.tokens, length - last.first);
    assert(last.fp16 != nullptr || last.tokens == last.capacity);
  }
  for (Block& block : layer.blocks)
    if (block.fp16 != nullptr && block.coded_from > length) free_int8(layer, block);
  layer.length = std::min(layer.length, length);
  layer.pending = 0;
}

/// Frees the FP16 copies that neither the sequence as it stands nor as it was held reads.
void Cache::drop_copies(Layer& layer) {
  const int32_t length = std::min(layer.length, hold_);
  for (Block& block : layer.blocks)
    if (block.int8 != nullptr && block.coded_from <= length) free_fp16(layer, block);
}

Status Cache::begin(int32_t index, int32_t first, int32_t count) {
  Layer& layer = layers_[static_cast<size_t>(index)];
  const bool splits = std::any_of(layer.blocks.begin(), layer.blocks.end(),
                                  [&](const Block& block) { return is_split_by(block, first); });
  if (first > layer.length || splits) return Status::refused;
  cut(layer, first);
  const int32_t end = first + count;
  layer.pending = count;

  bool enough = true;
  while (enough && (layer.blocks.empty() || end_of(layer.blocks.back()) < end)) {
    if (layer.blocks.empty() || layer.blocks.back().tokens == room(layer.blocks.back())) {
      Block block = next_block(layer);
      block.fp16 = allocate(layer, Format::fp16, block.capacity);
      enough = block.fp16 != nullptr;
      if (enough) layer.blocks.push_back(block);
    } else {
      Block& last = layer.blocks.back();
      last.tokens = std::min(room(last), end - last.first);
    }
  }
  for (Block& block : layer.blocks) {
    if (!enough || block.int8 != nullptr || block.coded_from > end) continue;
    block.int8 = allocate(layer, Format::int8, block.capacity);
    enough = block.int8 != nullptr;
  }
  if (!enough) abandon(index);
  return enough ? Status::ok : Status::exhausted;
}

/// Writes rows into the FP16 blocks of the step, then codes the blocks that leave the window in it.
template <typename Store, typename Code>
void Cache::store(int32_t index, int32_t kv_head, attention::Rows rows, Store store, Code code) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  assert(rows.count == layer.pending);
  const int32_t head_dim = layer.geometry.head_dim;
  const int32_t end = layer.length + rows.count;
  const auto head = static_cast<size_t>(kv_head);
  for (const Block& block : layer.blocks) {
    std::byte* fp16 = writable(block.fp16);
    if (fp16 == nullptr) continue;
    fp16 += head * attention::part_bytes(Format::fp16, head_dim, block.capacity);
    const int32_t from = std::max(block.first, layer.length);
    const int32_t to = std::min(end_of(block), end);
    if (from < to) {
      const float* source = rows.data + rows.stride * static_cast<size_t>(from - layer.length);
      store(fp16, head_dim, block.capacity, from - block.first,
            attention::Rows{source, rows.stride, to - from});
    }
    if (block.int8 != nullptr && block.coded_from > layer.length) {
      std::byte* int8 = writable(block.int8);
      int8 += head * attention::part_bytes(Format::int8, head_dim, block.capacity);
      code(fp16, int8, head_dim);
    }
  }
}

void Cache::store_keys(int32_t layer, int32_t kv_head, attention::Rows rows) {
  store(layer, kv_head, rows, attention::store_keys, attention::code_keys_int8);
}

void Cache::store_values(int32_t layer, int32_t kv_head, attention::Rows rows) {
  store(layer, kv_head, rows, attention::store_values, attention::code_values_int8);
}

void Cache::commit(int32_t index) {
  Layer& layer = layers_[static_cast<size_t>(index)];
  layer.length += layer.pending;
  layer.pending = 0;
  drop_copies(layer);
}

void Cache::abandon(int32_t index) {
  Layer& layer = layers_[static_cast<size_t>(index)];
  cut(layer, layer.length);
}

std::span<const Block> Cache::blocks(int32_t layer) const {
  return layers_[static_cast<size_t>(layer)].blocks;
}

int32_t Cache::truncate(int32_t length) {
  int32_t kept = std::min(length, this->length());
  for (const Layer& layer : layers_) {
    for (const Block& block : layer.blocks)
      if (is_split_by(block, kept)) kept = block.first;
  }
  for (Layer& layer : layers_) cut(layer, kept);
  return kept;
}

void Cache::hold(int32_t length) {
  hold_ = length;
  for (Layer& layer : layers_) drop_copies(layer);
}

void Cache::compact() {
  for (Layer& layer : layers_) {
    for (Block& block : layer.blocks) {
      if (block.fp16 == nullptr) continue;
      // Where nothing of note is to be gained, or the budget has no room to move.
      if (pool_.reserved() - pool_.used() <= pool_.used() / kSpareShare) return;
      const size_t bytes = bytes_of(layer, Format::fp16, block.capacity);
      std::byte* lowest = pool_.allocate(bytes);
      if (lowest == nullptr) return;
      std::byte* freed = writable(block.fp16);
      if (std::less<>{}(lowest, freed)) {
        std::memcpy(lowest, freed, bytes);
        block.fp16 = std::exchange(lowest, freed);
      }
      pool_.release(lowest, bytes);
    }
  }
}

int32_t Cache::length() const {
  int32_t length = std::numeric_limits<int32_t>::max();
  for (const Layer& layer : layers_)
    if (layer.geometry != Geometry{}) length = std::min(length, layer.length);
  return length == std::numeric_limits<int32_t>::max() ? 0 : length;
}

Account Cache::account() const {
  Account account;
  account.tokens = length();
  bool counted = false;
  for (const Layer& layer : layers_) {
    if (layer.geometry == Geometry{}) continue;
    for (const Block& block : layer.blocks) {
      const size_t fp16 = block.fp16 != nullptr ? bytes_of(layer, Format::fp16, block.capacity) : 0;
      if (block.int8 != nullptr)
        account.int8_bytes += bytes_of(layer, Format::int8, block.capacity);
      (is_sink(block, policy_) ? account.sink_bytes : account.window_bytes) += fp16;
      if (counted) continue;
      (is_sink(block, policy_)         ? account.sink_tokens
       : block.coded_for(layer.length) ? account.int8_tokens
                                       : account.window_tokens) += block.tokens;
    }
    counted = true;
    account.fp16_bytes += sizeof(uint16_t) * 2 * static_cast<size_t>(layer.length) *
                          static_cast<size_t>(layer.geometry.kv_heads) *
                          static_cast<size_t>(layer.geometry.head_dim);
  }
  return account;
}

}  // namespace sightline::cache
