#pragma once
// Room for blocks: slabs of equal slots, one row of slabs per slot size, taken from a memory and
// given back as soon as a slab is empty. The layers of a sequence may lie in several memories; the
// budget is one. References to slots are counted, so that sequences with a common prefix share
// them. For one thread at a time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "cache/memory.h"

namespace sightline::cache {

class Pool {
 public:
  /// `budget`: the most bytes that slots handed out may have together; 0: no bound.
  explicit Pool(size_t budget = 0) : budget_(budget) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  /// A slot of `bytes` bytes in a memory that outlives the pool, aligned to 64, contents undefined,
  /// referred to once; null where the budget or the memory is exhausted. Memories have addresses of
  /// their own.
  [[nodiscard]] std::byte* allocate(size_t bytes, Memory& memory = system_memory());

  /// Adds (drops) a reference to a slot of that size; without any it is free.
  void retain(const std::byte* slot, size_t bytes);
  void release(const std::byte* slot, size_t bytes);
  bool is_shared(const std::byte* slot, size_t bytes) { return references(slot, bytes) > 1; }

  /// Whether the budget has room for that much more.
  bool has_room(size_t bytes) const {
    return budget_ == 0 || (used_ <= budget_ && bytes <= budget_ - used_);
  }

  size_t budget() const { return budget_; }
  /// What is handed out stays handed out.
  void set_budget(size_t budget) { budget_ = budget; }

  size_t used() const { return used_; }              // bytes handed out
  size_t referenced() const { return referenced_; }  // the same, each slot as often as referred to
  size_t reserved() const { return reserved_; }      // bytes taken from the memories

 private:
  struct Slab {
    Memory* memory;
    std::byte* pages;
    size_t page_bytes;
    std::vector<uint32_t> references;  // by slot
    std::vector<uint32_t> free;        // a heap: the lowest slot first
  };
  using Slabs = std::map<const std::byte*, Slab, std::less<>>;  // by address
  struct Place {
    Slabs::iterator slab;
    uint32_t slot;
  };

  Slab* grow(size_t slot_bytes, Memory& memory);
  Place find(const std::byte* slot, size_t bytes);
  uint32_t references(const std::byte* slot, size_t bytes);

  size_t budget_;
  size_t used_ = 0;
  size_t referenced_ = 0;
  size_t reserved_ = 0;
  std::map<size_t, Slabs> sizes_;  // by slot size
};

}  // namespace sightline::cache
