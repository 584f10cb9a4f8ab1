#pragma once
// A sequence as its policy describes it, the straightforward way: a list of tokens, appended one by
// one, and per block what its elements have become.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "attention/format/format.h"
#include "attention/format/fp16.h"
#include "attention/format/lowrank.h"
#include "attention/half.h"
#include "cache/sequence.h"
#include "tokens.h"

namespace sightline::test {

class Model {
 public:
  static constexpr int32_t kBlock = attention::kBlockTokens;

  /// What one KV head of a layer holds of a block in one form.
  struct Head {
    std::vector<uint16_t> k, v;  // [tokens][head_dim]
    std::vector<int32_t> positions;
    bool operator==(const Head&) const = default;
  };
  struct Form {
    int32_t level = 0;
    int32_t from = 0;
    std::vector<std::vector<Head>> layers;  // [layer][head]; none where the tokens are dropped
  };
  struct Block {
    int32_t first = 0, tokens = 0;
    std::vector<Form> forms;  // those kept
    int32_t degraded = 0;
    const Form& form() const { return forms.back(); }
  };

  Model(cache::Policy policy, std::vector<cache::Geometry> geometries)
      : policy_(std::move(policy)),
        geometries_(std::move(geometries)),
        schedule_(policy_, geometries_) {}

  int32_t length() const { return static_cast<int32_t>(tokens_.size()); }
  const std::vector<Block>& blocks() const { return blocks_; }
  const std::vector<cache::Geometry>& geometries() const { return geometries_; }

  void append(int32_t token) {
    if (decides_from_data()) raise(length() + 1);
    const int32_t position = length();
    tokens_.push_back(token);
    if (blocks_.empty() || blocks_.back().tokens == room(blocks_.back())) {
      Block block;
      block.first = position;
      block.forms.resize(1);
      for (const cache::Geometry& g : geometries_)
        block.forms[0].layers.emplace_back(static_cast<size_t>(g.kv_heads));
      blocks_.push_back(block);
    }
    blocks_.back().tokens++;
    put(blocks_.back(), token, position);
    if (!decides_from_data()) raise(length());
    receive(position);
    if (length() == hold_) held_mass_ = mass_;
    forget();
  }

  int32_t truncate(int32_t length, cache::Rollback rollback) {
    length = std::min(length, this->length());
    if (Block* block = split_by(length)) {
      const bool whole = std::all_of(
          block->forms[0].layers.begin(), block->forms[0].layers.end(), [&](const auto& heads) {
            return !heads.empty() && heads[0].positions.size() == static_cast<size_t>(kBlock);
          });
      if (rollback == cache::Rollback::exact || !whole) {
        length = block->first;
      } else {
        block->forms.resize(1);
        block->forms[0].level = block->forms[0].from = 0;
        block->degraded = length - block->first;
      }
    }
    while (!blocks_.empty() && blocks_.back().first >= length) blocks_.pop_back();
    for (Block& block : blocks_)
      while (block.forms.size() > 1 && block.form().from > length) block.forms.pop_back();
    if (!blocks_.empty() && length < blocks_.back().first + blocks_.back().tokens)
      shorten(blocks_.back(), length - blocks_.back().first);
    if (length == hold_ && length < this->length() && held_mass_) mass_ = *held_mass_;
    tokens_.resize(static_cast<size_t>(length));
    for (auto& layer : mass_)
      for (auto& head : layer) head.resize(static_cast<size_t>(length));
    return length;
  }

  void hold(int32_t length) {
    hold_ = length;
    held_mass_.reset();
    if (this->length() == hold_) held_mass_ = mass_;
    forget();
  }

  Model fork() const {
    Model other = *this;
    other.hold(cache::kNoHold);
    return other;
  }

  void set_budget(size_t bytes) {
    policy_.budget = bytes;
    schedule_ = cache::Schedule(policy_, geometries_);
    for (size_t b = 0; b < blocks_.size(); b++)
      for (size_t f = 1; f < blocks_[b].forms.size(); f++)
        blocks_[b].forms[f].from =
            std::min(blocks_[b].forms[f].from, from(b, blocks_[b].forms[f].level));
    raise(length());
    forget();
  }

  void make_room(int32_t end) {
    raise(end);
    for (Block& block : blocks_)
      for (Form& form : block.forms) form.from = std::min(form.from, length());
    forget();
  }

  int32_t degraded() const {
    int32_t sum = 0;
    for (const Block& block : blocks_)
      if (block.form().level == 0) sum += block.degraded;
    return sum;
  }

  /// What a copy of the sequence holds for a KV head, in the model's terms.
  static Head head_of(cache::Geometry g, const attention::Block& block, const attention::Copy& copy,
                      int32_t head) {
    Head out;
    if (copy.data == nullptr) return out;
    const attention::Extent extent = copy.extent(g.head_dim);
    for (const cache::Side side : {cache::Side::keys, cache::Side::values}) {
      std::vector<uint16_t> halves(attention::area(g.head_dim, copy.capacity));
      cache::decode(g, copy, side, head, halves.data());
      (side == cache::Side::keys ? out.k : out.v) = rows_of(halves, extent, side);
    }
    for (int32_t t = 0; t < copy.tokens; t++)
      out.positions.push_back(attention::position_of(block, copy, head, t));
    return out;
  }

 private:
  /// Rows [tokens][head_dim] out of the layout of the fp16 format, and into it.
  static std::vector<uint16_t> rows_of(const std::vector<uint16_t>& halves,
                                       const attention::Extent& extent, cache::Side side) {
    const auto index = side == cache::Side::keys ? attention::key_index : attention::value_index;
    std::vector<uint16_t> rows;
    for (int t = 0; t < extent.tokens; t++)
      for (int c = 0; c < extent.head_dim; c++) rows.push_back(halves[index(extent, t, c)]);
    return rows;
  }
  static std::vector<uint16_t> laid_out(const std::vector<uint16_t>& rows,
                                        const attention::Extent& extent, cache::Side side) {
    const auto index = side == cache::Side::keys ? attention::key_index : attention::value_index;
    std::vector<uint16_t> halves(rows.size());
    for (int t = 0; t < extent.tokens; t++)
      for (int c = 0; c < extent.head_dim; c++)
        halves[index(extent, t, c)] =
            rows[attention::area(t, extent.head_dim) + static_cast<size_t>(c)];
    return halves;
  }

  using Mass = std::vector<std::vector<std::vector<float>>>;  // [layer][head][position]

  bool decides_from_data() const { return policy_.decides_from_data(); }

  int32_t room(const Block& block) const {
    return block.first < policy_.sink ? std::min(policy_.sink - block.first, kBlock) : kBlock;
  }

  /// Blocks of the sink, before those that are ever coded.
  size_t sinks() const { return static_cast<size_t>((policy_.sink + kBlock - 1) / kBlock); }

  int32_t from(size_t block, int32_t level) const {
    return schedule_.from(static_cast<int32_t>(block - sinks()), level);
  }

  static bool is_plain(const Form& form, const cache::Policy& policy, size_t layer) {
    const auto levels = cache::ladder(policy, static_cast<int32_t>(layer));
    const cache::Level& level = levels[static_cast<size_t>(form.level)];
    return level == cache::Level{attention::Tier{}} && !form.layers[layer].empty() &&
           form.layers[layer][0].positions.size() == static_cast<size_t>(kBlock);
  }

  /// The block that a cut would have to decode, in any layer.
  Block* split_by(int32_t length) {
    for (Block& block : blocks_) {
      if (length <= block.first || length >= block.first + block.tokens) continue;
      if (block.forms[0].level == 0) continue;
      for (size_t layer = 0; layer < geometries_.size(); layer++)
        if (!is_plain(block.forms[0], policy_, layer)) return &block;
    }
    return nullptr;
  }

  void put(Block& block, int32_t token, int32_t position) {
    for (size_t l = 0; l < geometries_.size(); l++) {
      const cache::Geometry g = geometries_[l];
      for (int32_t h = 0; h < g.kv_heads; h++) {
        Head& head = block.forms[0].layers[l][static_cast<size_t>(h)];
        for (int32_t c = 0; c < g.head_dim; c++) {
          head.k.push_back(half(token, l, cache::Side::keys, h, c));
          head.v.push_back(half(token, l, cache::Side::values, h, c));
        }
        head.positions.push_back(position);
      }
    }
  }

  static uint16_t half(int32_t token, size_t layer, cache::Side side, int32_t h, int32_t c) {
    return attention::float_to_half(element(token, static_cast<int32_t>(layer), side, h, c));
  }

  void shorten(Block& block, int32_t tokens) {
    block.forms.resize(1);
    block.forms[0].level = block.forms[0].from = 0;
    for (size_t l = 0; l < geometries_.size(); l++)
      for (Head& head : block.forms[0].layers[l]) {
        const auto keep = static_cast<size_t>(tokens);
        std::vector<int32_t> kept(keep);
        std::iota(kept.begin(), kept.end(), 0);
        head = picked(head, geometries_[l].head_dim, kept);
      }
    block.tokens = tokens;
    block.degraded = std::min(block.degraded, tokens);
  }

  static Head picked(const Head& head, int32_t head_dim, const std::vector<int32_t>& tokens) {
    Head out;
    for (const int32_t t : tokens) {
      const auto row = static_cast<ptrdiff_t>(t) * head_dim;
      out.k.insert(out.k.end(), head.k.begin() + row, head.k.begin() + row + head_dim);
      out.v.insert(out.v.end(), head.v.begin() + row, head.v.begin() + row + head_dim);
      out.positions.push_back(head.positions[static_cast<size_t>(t)]);
    }
    return out;
  }

  /// Blocks pass to the levels they are at once there are `length` tokens.
  void raise(int32_t length) {
    const auto levels = static_cast<int32_t>(cache::ladder(policy_).size());
    for (size_t b = sinks(); b < blocks_.size(); b++)
      while (blocks_[b].tokens == kBlock && blocks_[b].form().level + 1 < levels &&
             from(b, blocks_[b].form().level + 1) <= length)
        blocks_[b].forms.push_back(coded(blocks_[b], b));
  }

  Form coded(const Block& block, size_t index) const {
    const Form& last = block.form();
    Form next;
    next.level = last.level + 1;
    next.from = from(index, next.level);
    for (size_t l = 0; l < geometries_.size(); l++) {
      const auto levels = cache::ladder(policy_, static_cast<int32_t>(l));
      const cache::Level& level = levels[static_cast<size_t>(next.level)];
      next.layers.emplace_back();
      if (!level) continue;
      const attention::Tier was = *levels[static_cast<size_t>(last.level)];
      const auto kept = kept_tokens(block, l);
      std::vector<Head> heads;
      for (size_t h = 0; h < last.layers[l].size(); h++)
        heads.push_back(picked(last.layers[l][h], geometries_[l].head_dim, kept[h]));
      const int32_t rank = rank_of(heads, geometries_[l], *level);
      for (Head& head : heads) {
        attention::Extent extent{geometries_[l].head_dim, static_cast<int>(kept[0].size()),
                                 static_cast<int>(kept[0].size()), 0};
        const bool all = kept[0].size() == static_cast<size_t>(kBlock);
        if (!all || was.v != level->v) {
          std::vector<std::byte> bytes(attention::value_bytes(level->v, extent));
          auto halves = laid_out(head.v, extent, cache::Side::values);
          attention::encode_values(level->v, halves.data(), bytes.data(), extent);
          attention::decode_values(level->v, bytes.data(), halves.data(), extent);
          head.v = rows_of(halves, extent, cache::Side::values);
        }
        extent.rank = rank;
        if (!all || was.k != level->k) {
          std::vector<std::byte> bytes(attention::key_bytes(level->k, extent));
          auto halves = laid_out(head.k, extent, cache::Side::keys);
          attention::encode_keys(level->k, halves.data(), bytes.data(), extent);
          attention::decode_keys(level->k, bytes.data(), halves.data(), extent);
          head.k = rows_of(halves, extent, cache::Side::keys);
        }
      }
      next.layers.back() = heads;
    }
    return next;
  }

  int32_t rank_of(const std::vector<Head>& heads, cache::Geometry g, attention::Tier tier) const {
    if (tier.k != attention::Format::lowrank) return 0;
    if (policy_.rank > 0) return std::min(policy_.rank, g.head_dim);
    int32_t rank = 0;
    const attention::Extent extent{g.head_dim, kBlock, kBlock};
    for (const Head& head : heads)
      rank = std::max(rank,
                      attention::rank_for_energy(laid_out(head.k, extent, cache::Side::keys).data(),
                                                 extent, static_cast<double>(policy_.energy)));
    return (rank + 3) / 4 * 4;
  }

  /// Tokens of a block that are kept, by head.
  std::vector<std::vector<int32_t>> kept_tokens(const Block& block, size_t layer) const {
    const auto heads = static_cast<size_t>(geometries_[layer].kv_heads);
    std::vector<int32_t> all(kBlock);
    std::iota(all.begin(), all.end(), 0);
    if (!policy_.needs_attention()) return std::vector(heads, all);
    std::vector<float> mass;
    for (size_t h = 0; h < heads; h++) {
      const auto first = mass_[layer][h].begin() + block.first;
      mass.insert(mass.end(), first, first + kBlock);
    }
    const auto chosen =
        cache::select(policy_, mass, std::vector<float>(kBlock, cache::kDefaultKindWeight));
    std::vector<std::vector<int32_t>> kept;
    for (size_t h = 0; h < heads; h++) {
      const auto first = chosen.tokens.begin() + static_cast<ptrdiff_t>(h) * chosen.count;
      kept.emplace_back(first, first + chosen.count);
    }
    return kept;
  }

  /// The newest token pays attention to those that are not yet coded.
  void receive(int32_t position) {
    mass_.resize(geometries_.size());
    for (size_t l = 0; l < mass_.size(); l++) {
      mass_[l].resize(static_cast<size_t>(geometries_[l].kv_heads));
      for (size_t h = 0; h < mass_[l].size(); h++) {
        auto& mass = mass_[l][h];
        mass.resize(static_cast<size_t>(position) + 1);
        for (const Block& block : blocks_) {
          if (block.first < policy_.sink || block.form().level > 0) continue;
          for (int32_t t = block.first; t < block.first + block.tokens; t++)
            mass[static_cast<size_t>(t)] +=
                attention_paid(position, t, static_cast<int32_t>(l), static_cast<int32_t>(h));
        }
      }
    }
  }

  static void clear(Mass& mass, const Block& block) {
    for (auto& layer : mass)
      for (auto& head : layer)
        for (int32_t t = block.first; t < block.first + block.tokens; t++)
          if (static_cast<size_t>(t) < head.size()) head[static_cast<size_t>(t)] = 0;
  }

  /// Forms that are read neither now nor at the length held.
  void forget() {
    const int32_t length = std::min(this->length(), hold_);
    for (Block& block : blocks_) {
      while (block.forms.size() > 1 && block.forms[1].from <= length)
        block.forms.erase(block.forms.begin());
      if (block.forms[0].level == 0) continue;
      block.degraded = 0;
      clear(mass_, block);
      if (held_mass_) clear(*held_mass_, block);
    }
  }

  cache::Policy policy_;
  std::vector<cache::Geometry> geometries_;
  cache::Schedule schedule_;
  std::vector<int32_t> tokens_;
  std::vector<Block> blocks_;
  int32_t hold_ = cache::kNoHold;
  Mass mass_;
  std::optional<Mass> held_mass_;  // at the length held
};

}  // namespace sightline::test
