#pragma once
// Memory for blocks: slabs of equal slots, one row of slabs per slot size, taken from the system
// page-wise and given back as soon as a slab is empty.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace sightline::cache {

class Pool {
 public:
  /// `budget`: the most bytes that slots handed out may have together; 0: no bound.
  explicit Pool(size_t budget = 0) : budget_(budget) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  /// A slot of `bytes` bytes, aligned to 64, contents undefined; null where the budget or the
  /// system's memory is exhausted.
  [[nodiscard]] std::byte* allocate(size_t bytes);
  void release(std::byte* slot, size_t bytes);

  /// Whether the budget has room for that much more.
  bool has_room(size_t bytes) const { return budget_ == 0 || used_ + bytes <= budget_; }

  size_t budget() const { return budget_; }
  size_t used() const { return used_; }          // bytes handed out
  size_t reserved() const { return reserved_; }  // bytes taken from the system

 private:
  struct Slab {
    std::byte* pages;
    size_t page_bytes;
    uint32_t slots;
    std::vector<uint32_t> free;  // a heap: the lowest slot first
  };
  using Slabs = std::map<std::byte*, Slab>;  // by address

  Slab* grow(size_t slot_bytes);

  size_t budget_;
  size_t used_ = 0;
  size_t reserved_ = 0;
  std::map<size_t, Slabs> sizes_;  // by slot size
};

}  // namespace sightline::cache
