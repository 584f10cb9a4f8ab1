#pragma once
// The blocks of one layer of a sequence, and the step that is appended to them. Sequence says what
// the functions promise; here is what happens to one layer.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "attention/block.h"
#include "attention/format/fp16.h"
#include "cache/coding.h"
#include "cache/policy.h"
#include "cache/pool.h"
#include "cache/schedule.h"
#include "cache/select.h"

namespace sightline::cache {

enum class Status : uint8_t {
  ok,
  exhausted,  // the pool's budget or the system's memory
  refused,    // `begin` with a gap, inside a block without an FP16 copy, or beyond `step_limit`
};

inline constexpr int32_t kNoHold = std::numeric_limits<int32_t>::max();

/// What the layers of a sequence have in common.
struct Common {
  Policy policy;
  Schedule schedule;
  Pool& pool;
  int32_t hold = kNoHold;
  std::vector<float> kind_weights;  // by position, the default beyond its end

  int32_t step_limit(int32_t length) const;
};

/// What is known of a block besides what attention reads.
struct Entry {
  std::array<uint8_t, attention::Block::kMostCopies> level = {};  // of each copy
  int32_t degraded = 0;  // tokens, the first ones, that were decoded from a coded copy
  // Attention received, [kv_heads][kBlockTokens]; empty: none, or no longer needed.
  std::vector<float> mass;
  std::vector<float> held_mass;  // as it was at the length held
};

/// Rows of a step that go to one FP16 copy, from its token `at` on.
struct Segment {
  const attention::Copy* copy;
  int32_t at;
  int32_t first;  // row of the step
  int32_t count;
};

/// A copy to be coded from another of the same block, which starts at position `first`.
struct Recoding {
  int32_t first;
  const attention::Copy* from;
  const attention::Copy* to;
};

class Layer {
 public:
  Layer(Common& common, int32_t index);

  const Geometry& geometry() const { return geometry_; }
  /// What its blocks lie in.
  Memory& memory() const { return *memory_; }
  void configure(Geometry geometry, Memory& memory) {
    geometry_ = geometry;
    memory_ = &memory;
  }
  bool configured() const { return geometry_ != Geometry{}; }

  int32_t length() const { return length_; }
  std::span<const attention::Block> blocks() const { return blocks_; }
  std::span<const Entry> entries() const { return entries_; }
  const std::vector<Level>& ladder() const { return ladder_; }

  [[nodiscard]] Status begin(int32_t first, int32_t count);
  /// What `store` does, in this order: visit(const Segment&), visit(const Recoding&).
  template <typename Visit>
  void each_segment(Visit visit) const;
  template <typename Visit>
  void each_recoding(Visit visit) const;
  void store(Side side, int32_t kv_head, attention::Rows rows) {
    write(side, kv_head, rows);
    code(side, kv_head);
  }
  // Its two parts.
  void write(Side side, int32_t kv_head, attention::Rows rows);
  void code(Side side, int32_t kv_head);
  void commit();
  void abandon();
  attention::Received received();

  /// The longest that the layer can become by a step without anything but the step's first token
  /// beginning a block or bringing one to another level.
  int32_t revocable_end() const;
  /// The most tokens up to `length` that can be kept without decoding a block.
  int32_t kept_exactly(int32_t length) const;
  /// Whether a cut at `length` can be made by decoding the block it falls into.
  bool can_reopen(int32_t length) const;
  /// Drops the tokens from `length` on, of which kept_exactly(length) == length, and copies that a
  /// sequence of that length does not read.
  void cut(int32_t length);
  /// Drops the tokens from `length` on; the block they leave is FP16 afterwards. False where there
  /// is no memory for that; then nothing has changed but that the blocks behind it are gone.
  [[nodiscard]] bool reopen(int32_t length);

  void hold();  // the length held has changed
  /// Brings complete blocks to the levels that a sequence of `end` tokens has them at.
  [[nodiscard]] Status settle(int32_t end);
  void compact();

  /// Takes over the blocks of the same layer of another sequence, sharing their slots.
  void share(const Layer& other);

  /// Appends a block as a snapshot has it: its only copy in the form of `copy`, whose data (and
  /// positions) are copied. False where there is no memory for it.
  [[nodiscard]] bool adopt(const attention::Block& block, Entry entry);

  size_t sink_bytes() const { return bytes_[0]; }
  size_t level_bytes(int32_t level) const { return bytes_[1 + static_cast<size_t>(level)]; }
  /// Blocks, the oldest behind the sink, that are at a level or above.
  int32_t blocks_at(int32_t level) const { return reached_[static_cast<size_t>(level)]; }
  int64_t dropped_tokens() const { return dropped_; }
  int64_t degraded_tokens() const { return degraded_; }
  size_t shared_bytes() const;

 private:
  /// A copy added by the step begun, to be coded from the one before it.
  struct Job {
    int32_t block;
    int32_t copy;
  };

  attention::Block& block(int32_t index) { return blocks_[static_cast<size_t>(index)]; }
  const attention::Block& block(int32_t index) const { return blocks_[static_cast<size_t>(index)]; }
  Entry& entry(int32_t index) { return entries_[static_cast<size_t>(index)]; }
  int32_t count() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t sink_blocks() const;
  int32_t first_uncoded() const { return sink_blocks() + reached_[1]; }
  int32_t block_at(int32_t position) const;
  int32_t room(const attention::Block& block) const;
  size_t& bytes_row(int32_t index, int32_t level);

  void count_tokens(int32_t index, int sign);
  void note_level(int32_t index);
  void add_copy(int32_t index, const attention::Copy& copy, int32_t level);
  void drop_copy(int32_t index, int32_t which);
  void drop_unread(int32_t index);
  void drop_unread();
  void pop_block();
  void set_tokens(int32_t index, int32_t tokens);
  void forget_coding(int32_t index);

  [[nodiscard]] bool own_last_block();
  [[nodiscard]] bool grow(int32_t end);
  bool is_due(int32_t level, int32_t end) const;
  const attention::Block& next_block_at(int32_t level) const;
  [[nodiscard]] bool raise(int32_t level);
  Selection selection(int32_t index) const;
  int32_t rank_of(const attention::Copy& copy) const;

  void open_mass(int32_t end);
  void add_mass();
  void keep_mass();
  /// Visits the entries that may still hold attention received: those with an FP16 copy.
  template <typename Visit>
  void each_uncoded(Visit visit) {
    int32_t index = first_uncoded();
    if (!moving_.empty()) index = std::min(index, moving_.front());
    for (; index < count(); index++) visit(entry(index));
  }

  Common& common_;
  int32_t index_;
  std::vector<Level> ladder_;
  Geometry geometry_;
  Memory* memory_ = nullptr;
  int32_t length_ = 0;   // committed tokens
  int32_t pending_ = 0;  // tokens of the step begun
  std::vector<attention::Block> blocks_;
  std::vector<Entry> entries_;   // by block
  std::vector<int32_t> moving_;  // blocks with several copies, ascending
  std::vector<Job> jobs_;        // in order
  std::vector<float> step_mass_;
  attention::Received received_;

  // What would otherwise be counted anew for every token.
  std::array<size_t, 1 + attention::Block::kMostCopies> bytes_ = {};  // of the sink and the levels
  std::array<int32_t, attention::Block::kMostCopies> reached_ = {};
  int64_t dropped_ = 0;
  int64_t degraded_ = 0;
};

template <typename Visit>
void Layer::each_segment(Visit visit) const {
  const int32_t end = length_ + pending_;
  for (int32_t at = length_; at < end;) {
    const attention::Block& b = block(block_at(at));
    const int32_t to = std::min(b.end(), end);
    visit(Segment{&b.copies[0], at - b.first, at - length_, to - at});
    at = to;
  }
}

template <typename Visit>
void Layer::each_recoding(Visit visit) const {
  for (const Job& job : jobs_) {
    const attention::Block& b = block(job.block);
    const attention::Copy& from = b.copies[static_cast<size_t>(job.copy) - 1];
    const attention::Copy& to = b.copies[static_cast<size_t>(job.copy)];
    if (to.data != nullptr && to.data != from.data) visit(Recoding{b.first, &from, &to});
  }
}

}  // namespace sightline::cache
