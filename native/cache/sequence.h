#pragma once
// The KV cache of one sequence: per layer a list of blocks, each in the form its policy asks for.
//
// A step appends tokens in four moves: `begin` makes room (and decides which blocks pass to another
// level), the store functions write and code (from several threads, one KV head each), attention
// reads `blocks`, and `commit` drops the copies that no later query reads. `abandon` undoes a step
// that did not finish.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "attention/format/fp16.h"
#include "cache/account.h"
#include "cache/layer.h"
#include "cache/policy.h"
#include "cache/pool.h"
#include "cache/schedule.h"

namespace sightline::cache {

/// What to do with a block of which only coded copies are left when a cut falls inside it.
enum class Rollback : uint8_t {
  exact,   // drop it whole
  reopen,  // decode what remains of it into FP16 again
};

class Sequence {
 public:
  /// `policy` has no fault; `pool` outlives the sequence.
  Sequence(Policy policy, Pool& pool);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;
  ~Sequence();

  const Policy& policy() const { return common_.policy; }
  /// Another policy, without fault; what was held is dropped.
  void set_policy(const Policy& policy);

  /// Sets a layer's geometry, and the memory that its blocks shall lie in, the first time it is
  /// seen; false where the geometry differs from before.
  [[nodiscard]] bool configure(int32_t layer, Geometry geometry, Memory& memory = system_memory());

  /// Makes room for tokens [first, first + count) of a layer. Tokens from `first` on are dropped
  /// before that. Nothing changes but the dropped tokens where it fails.
  [[nodiscard]] Status begin(int32_t layer, int32_t first, int32_t count);

  /// Writes the keys (values) of one KV head of the step begun, and codes those of the blocks that
  /// pass to another level. Takes nothing from the pool. Calls for different heads, and for keys
  /// and values, may run at the same time. The layer lies in the system's memory; where it lies
  /// elsewhere Layer::each_segment and each_recoding say what is to be done.
  void store_keys(int32_t layer, int32_t kv_head, attention::Rows rows);
  void store_values(int32_t layer, int32_t kv_head, attention::Rows rows);
  /// The two parts of these, one after the other.
  void write(int32_t layer, Side side, int32_t kv_head, attention::Rows rows);
  void code(int32_t layer, Side side, int32_t kv_head);

  void commit(int32_t layer);
  void abandon(int32_t layer);

  /// automatic: brings blocks to the levels they will have at `end` tokens now, one after the
  /// other, where a step has no room to hold them in two forms; its queries then read them so. No
  /// step may be begun. False where there is nothing to be gained that way.
  [[nodiscard]] bool make_room(int32_t end);

  /// The layer's blocks from position 0 on, valid until the next call that changes the layer.
  std::span<const attention::Block> blocks(int32_t layer) const;

  /// Where the step begun adds up the attention that the layer's tokens receive; none but for
  /// policies that need it. Zero at first; counts once the step is committed.
  attention::Received received(int32_t layer);

  /// The most tokens that the next step may append, see Policy; `begin` refuses more. Where the
  /// policy chooses tokens by attention, no step crosses the length held either.
  int32_t step_limit() const;

  /// The most tokens that the next step may append of which all but the first can be taken back by
  /// `truncate` with no trace: they take nothing from the pool and bring no block to another level.
  /// 1 where tokens are chosen by attention, since that of tokens taken back stays in the sums.
  int32_t revocable_step() const;

  /// How much the kinds of tokens [first, first + weights.size()) count for `importance`, each from
  /// 0 to 1; 0.5 where not set. To be set before their block leaves the window.
  void set_kind_weights(int32_t first, std::span<const float> weights);

  /// Keeps the first `length` tokens of every layer, or fewer (the start of the block) where the
  /// cut falls inside a block of which no FP16 copy is left, and `rollback` is `exact`, tokens of
  /// it were dropped, or there is no memory to decode it to. Returns the tokens kept.
  int32_t truncate(int32_t length, Rollback rollback = Rollback::exact);

  /// Keeps the copies that a sequence of `length` tokens reads until the next hold, so that
  /// truncating to `length` or more undoes every later step exactly. (Attention received is undone
  /// at `length` itself.) Without: kNoHold.
  void hold(int32_t length);

  /// Another sequence with the first `length` tokens, or what `truncate` would keep of them: shares
  /// every slot with this one until either writes to it. Where this one holds a length, so that
  /// nothing is lost by going back to it, nothing is lost by a fork of that length either; the
  /// other holds none. O(blocks). Not between `begin` and `commit`.
  std::unique_ptr<Sequence> fork(int32_t length = kNoHold) const;

  /// automatic: the new budget applies at once to the tokens held, oldest first; what is coded
  /// stays coded. `exhausted` where there is no room to code them; the next steps try again.
  [[nodiscard]] Status set_budget(size_t bytes);

  /// Moves FP16 copies to the lowest free slots, so that the slabs a long prefill needed besides go
  /// back to the system. Cheap: the copies are those of the sink and the window.
  void compact();

  int32_t length() const;  // tokens every layer holds

  /// O(layers).
  Account account() const;
  /// Of the account's bytes, those that other sequences hold as well. O(blocks).
  size_t shared_bytes() const;

  std::vector<Geometry> geometries() const;

  // For snapshots.
  int32_t layers() const { return static_cast<int32_t>(layers_.size()); }
  const Layer& layer(int32_t index) const { return layers_[static_cast<size_t>(index)]; }
  std::span<const float> kind_weights() const { return common_.kind_weights; }
  /// Appends a block to a layer, see Layer::adopt.
  [[nodiscard]] bool adopt(int32_t layer, const attention::Block& block, Entry entry);

 private:
  Common common_;
  std::vector<Layer> layers_;
};

}  // namespace sightline::cache
