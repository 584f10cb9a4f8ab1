#pragma once
// Where the slots of a pool lie, and what is done with them there: the system's memory, or a GPU's.
// Blocks show slots by their address; only the memory they are of may follow it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "attention/block.h"
#include "cache/schedule.h"

namespace sightline::cache {

/// Calls take effect in their order, but may return before that.
class Memory {
 public:
  virtual ~Memory() = default;

  /// `bytes` or more, as many as are best taken at once.
  virtual size_t rounded_up(size_t bytes) const = 0;
  /// A number of bytes that rounded_up gave; null where there is no memory left.
  [[nodiscard]] virtual std::byte* take(size_t bytes) = 0;
  virtual void give(std::byte* pages, size_t bytes) = 0;

  virtual void copy(std::byte* to, const std::byte* from, size_t bytes) = 0;
  /// From the system's memory, as it is.
  virtual void write(std::byte* to, const void* from, size_t bytes) = 0;

  /// Codes one copy of a block into another, both of this memory: see cache::recode.
  virtual void recode(Geometry geometry, int32_t first, const attention::Copy& from,
                      const attention::Copy& to) = 0;

  /// Fills a slot with a copy that lies in the system's memory, its positions included.
  virtual void bring(Geometry geometry, const attention::Copy& copy, std::byte* slot) = 0;
  /// The copy in the system's memory: itself, or fetched into `room`.
  virtual attention::Copy local(Geometry geometry, const attention::Copy& copy,
                                std::vector<std::byte>& room) = 0;

 protected:
  Memory() = default;
  Memory(const Memory&) = default;
  Memory& operator=(const Memory&) = default;
};

/// A copy that lies at another address.
attention::Copy moved_to(Geometry geometry, const attention::Copy& copy, const std::byte* slot);

/// The system's: pages that go back to it as soon as they are given.
Memory& system_memory();

}  // namespace sightline::cache
