#include "cache/memory.h"

#include <cstring>

#include "attention/format/access.h"
#include "cache/coding.h"
#include "cache/pages.h"

namespace sightline::cache {

using attention::Copy;

namespace {

class SystemMemory final : public Memory {
 public:
  size_t rounded_up(size_t bytes) const override {
    const size_t page = bytes < kHugePageBytes / 2 ? page_size() : kHugePageBytes;
    return (bytes + page - 1) / page * page;
  }
  std::byte* take(size_t bytes) override { return take_pages(bytes); }
  void give(std::byte* pages, size_t bytes) override { give_pages(pages, bytes); }

  void copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void write(std::byte* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }

  void recode(Geometry geometry, int32_t first, const Copy& from, const Copy& to) override {
    for (const Side side : {Side::keys, Side::values})
      for (int32_t head = 0; head < geometry.kv_heads; head++)
        cache::recode(geometry, first, from, to, side, head);
  }

  void bring(Geometry geometry, const Copy& copy, std::byte* slot) override {
    std::memcpy(slot, copy.data, slot_bytes(geometry, copy));
  }
  Copy local(Geometry, const Copy& copy, std::vector<std::byte>&) override { return copy; }
};

}  // namespace

Copy moved_to(Geometry geometry, const Copy& copy, const std::byte* slot) {
  Copy moved = copy;
  moved.data = slot;
  if (copy.positions != nullptr)
    moved.positions = attention::at_offset<int32_t>(slot, parts_bytes(geometry, copy));
  return moved;
}

Memory& system_memory() {
  static SystemMemory memory;  // without state
  return memory;
}

}  // namespace sightline::cache
