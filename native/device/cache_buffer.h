#pragma once
// What is behind the tensors of one KV cache buffer: our cache, for as long as llama.cpp does
// nothing with them but append and attend, or ordinary FP16 memory afterwards.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "cache/sequence.h"
#include "device/cache_tensor.h"
#include "ggml-backend.h"

namespace sightline::device {

class CacheBuffer {
 public:
  enum class Holder : uint8_t {
    ours,
    theirs,  // FP16 in the inner device's memory; graphs run as if we were not there
    lost,    // should be theirs, but there was no memory: nothing may read it until it is cleared
  };

  /// `cache`: other buffers may hold other layers of it. `memory`, which outlives this: where the
  /// layers of this one lie.
  CacheBuffer(std::shared_ptr<cache::Sequence> cache, cache::Memory& memory)
      : cache_(std::move(cache)), memory_(memory) {}

  cache::Sequence& cache() { return *cache_; }
  Holder holder() const { return holder_; }

  /// Takes a tensor in: one that plain_cache() knows.
  void add(ggml_tensor* tensor);
  bool holds(const ggml_tensor* tensor) const;
  /// How many layers have their keys here.
  int layers() const;
  /// FP16 bytes of one token.
  size_t token_bytes() const;

  /// A layer's geometry as attention shows it; false where it differs from before.
  [[nodiscard]] bool configure(int32_t layer, cache::Geometry geometry);
  std::optional<cache::Geometry> geometry(int32_t layer) const;
  int32_t length(int32_t layer) const;

  /// Drops the tokens from `length` on, for all layers. Where that falls inside a block of which
  /// only a coded copy is left, the block's tokens before it are FP16 again, as decoded.
  [[nodiscard]] cache::Status rewind(int32_t length);

  /// Notes that `row` is written while the tensors are theirs.
  void note_write(int64_t row);
  /// Whether a row was dropped by `rewind` and not written since. Theirs only: while the cache is
  /// ours that is every row from `length` on.
  bool is_missing(int64_t row) const;
  bool any_missing() const { return !missing_.empty(); }

  // A tensor's bytes as llama.cpp believes them to be: rows of FP16 (views included).
  void get(const ggml_tensor* tensor, void* data, size_t offset, size_t size) const;
  /// Whether tokens are lacking that the policy dropped; true once.
  bool tell_dropped();
  /// Appends whole rows, a layer's keys before its values; anything else gives the buffer up to
  /// memory of `type` first. What fails leaves it lost.
  void set(const ggml_tensor* tensor, const void* data, size_t offset, size_t size,
           ggml_backend_buffer_type_t type);
  /// Ours again, and empty.
  void clear();
  /// The same with another policy.
  void set_policy(const cache::Policy& policy);
  /// Puts another sequence in the place of its own, which it gives. The cache is ours.
  std::shared_ptr<cache::Sequence> exchange(std::shared_ptr<cache::Sequence> next);

  /// Whether keys were set whose values have not come.
  bool half_set() const { return !set_keys_.empty(); }

  /// From here on the tensors are memory of `type`, with what the cache holds in them and zeros
  /// after that. False: there is no memory for it, and what they held is lost.
  bool give_up(ggml_backend_buffer_type_t type);
  size_t given_up_bytes() const;

 private:
  struct Rows {
    int32_t first, count;
    bool operator==(const Rows&) const = default;
  };
  struct FreeBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  };

  bool has_row(int32_t layer, int32_t row) const;
  void read_row(CacheTensor tensor, int32_t row, std::vector<uint16_t>& halves) const;
  std::vector<uint16_t> read_rows(CacheTensor tensor, size_t width, Rows rows) const;
  cache::Status write_rows(CacheTensor tensor, Rows rows, const uint16_t* halves);
  bool append(const ggml_tensor* tensor, const void* data, size_t offset, size_t size);
  void forget_past();

  std::shared_ptr<cache::Sequence> cache_;
  cache::Memory& memory_;
  Holder holder_ = Holder::ours;
  std::vector<ggml_tensor*> tensors_;
  std::vector<void*> stand_ins_;  // where each tensor's data is while it is ours
  std::map<int32_t, cache::Geometry> geometry_;
  std::map<int32_t, Rows> set_keys_;  // by layer
  int32_t dropped_to_ = 0;            // the longest that the sequence has been
  std::set<int64_t> missing_;
  bool told_dropped_ = false;
  std::unique_ptr<ggml_backend_buffer, FreeBuffer> given_;
};

/// The cache behind a tensor or view, whoever holds it; null: no buffer of ours.
CacheBuffer* cache_buffer(const ggml_tensor* tensor);

/// What a tensor or view is of, where Sightline holds it.
struct OwnedTensor {
  CacheBuffer* buffer;
  int32_t layer;
  bool keys;
};
std::optional<OwnedTensor> owned_cache(const ggml_tensor* tensor);

}  // namespace sightline::device
