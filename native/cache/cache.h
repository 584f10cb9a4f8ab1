#pragma once
// The KV cache of one sequence: per layer a list of blocks, each in the format its policy asks for.
//
// A step appends tokens in four moves: `begin` makes room (and decides which blocks leave the
// window), the store functions write and code (from several threads, one KV head each), attention
// reads `blocks`, and `commit` drops the FP16 copies that no later query reads. `abandon` undoes a
// step that did not finish.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "attention/block.h"
#include "attention/codec.h"
#include "cache/policy.h"
#include "cache/pool.h"

namespace sightline::cache {

enum class Status : uint8_t {
  ok,
  exhausted,  // the pool's budget or the system's memory
  refused,    // `begin` with a gap, or inside a block of which only the int8 copy is left
};

/// What a layer stores per token: keys and values of kv_heads * head_dim elements each.
struct Geometry {
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  bool operator==(const Geometry&) const = default;
};

/// Bytes by tier. They add up to what the pool has handed out to this cache.
struct Account {
  int64_t tokens = 0;  // length of the sequence
  int64_t sink_tokens = 0, int8_tokens = 0, window_tokens = 0;
  size_t sink_bytes = 0, int8_bytes = 0, window_bytes = 0;
  size_t fp16_bytes = 0;  // what the same tokens take in an FP16 cache without blocks
};

class Cache {
 public:
  /// `pool` outlives the cache.
  Cache(Policy policy, Pool& pool) : policy_(policy), pool_(pool) {}
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  ~Cache();

  const Policy& policy() const { return policy_; }

  /// Sets a layer's geometry the first time it is seen; false where it differs from before.
  [[nodiscard]] bool configure(int32_t layer, Geometry geometry);

  /// Makes room for tokens [first, first + count) of a layer. Tokens from `first` on are dropped
  /// before that. Nothing changes but the dropped tokens where it fails.
  [[nodiscard]] Status begin(int32_t layer, int32_t first, int32_t count);

  /// Writes the keys (values) of one KV head of the step begun, and codes those of the blocks that
  /// leave the window. Calls for different heads may run at the same time.
  void store_keys(int32_t layer, int32_t kv_head, attention::Rows rows);
  void store_values(int32_t layer, int32_t kv_head, attention::Rows rows);

  void commit(int32_t layer);
  void abandon(int32_t layer);

  /// The layer's blocks from position 0 on, valid until the next call that changes the layer.
  std::span<const attention::Block> blocks(int32_t layer) const;

  /// Keeps the first `length` tokens of every layer; fewer (the start of the block) where the cut
  /// falls inside a block of which only the int8 copy is left. Returns the tokens kept.
  int32_t truncate(int32_t length);

  /// Keeps the FP16 copies that a sequence of `length` tokens reads until the next hold, so that
  /// truncating to `length` or more undoes every later step exactly. Without: kNoHold.
  static constexpr int32_t kNoHold = std::numeric_limits<int32_t>::max();
  void hold(int32_t length);

  /// Moves FP16 copies to the lowest free slots, so that the slabs a long prefill needed besides go
  /// back to the system. Cheap: the copies are those of the sink and the window.
  void compact();

  int32_t length() const;  // tokens every layer holds
  Account account() const;

 private:
  struct Layer {
    Geometry geometry;
    int32_t length = 0;   // committed tokens
    int32_t pending = 0;  // tokens of the step begun
    std::vector<attention::Block> blocks;
  };

  size_t bytes_of(const Layer& layer, attention::Format format, int32_t capacity) const;
  std::byte* allocate(const Layer& layer, attention::Format format, int32_t capacity);
  void free_fp16(const Layer& layer, attention::Block& block);
  void free_int8(const Layer& layer, attention::Block& block);
  int32_t room(const attention::Block& block) const;
  void cut(Layer& layer, int32_t length);
  void drop_copies(Layer& layer);
  attention::Block next_block(const Layer& layer) const;
  template <typename Store, typename Code>
  void store(int32_t layer, int32_t kv_head, attention::Rows rows, Store store, Code code);

  Policy policy_;
  Pool& pool_;
  int32_t hold_ = kNoHold;
  std::vector<Layer> layers_;
};

}  // namespace sightline::cache
