#include "cache/pool.h"

#include <algorithm>
#include <cassert>
#include <functional>

namespace sightline::cache {
namespace {

// Slabs grow with the pool: small caches waste little, large ones stay below the system's limit on
// the number of mappings.
constexpr size_t kSmallestSlab = size_t{256} << 10;
constexpr size_t kLargestSlab = size_t{64} << 20;
constexpr size_t kSlabShare = 16;

constexpr size_t kSlotAlignment = 64;

constexpr size_t rounded_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

Pool::~Pool() {
  for (auto& [slot_bytes, slabs] : sizes_)
    for (auto& [address, slab] : slabs) slab.memory->give(slab.pages, slab.page_bytes);
}

Pool::Slab* Pool::grow(size_t slot_bytes, Memory& memory) {
  const size_t wanted = std::clamp(reserved_ / kSlabShare, kSmallestSlab, kLargestSlab);
  const size_t stride = rounded_up(slot_bytes, kSlotAlignment);
  const size_t page_bytes = memory.rounded_up(std::max(wanted / stride, size_t{1}) * stride);
  const auto slots = static_cast<uint32_t>(page_bytes / stride);
  std::byte* pages = memory.take(page_bytes);
  if (pages == nullptr) return nullptr;
  reserved_ += page_bytes;
  Slab slab{&memory, pages, page_bytes, std::vector<uint32_t>(slots, 0), {}};
  slab.free.resize(slots);
  for (uint32_t i = 0; i < slots; i++) slab.free[i] = i;
  std::make_heap(slab.free.begin(), slab.free.end(), std::greater<>{});
  return &sizes_[slot_bytes].emplace(pages, std::move(slab)).first->second;
}

std::byte* Pool::allocate(size_t bytes, Memory& memory) {
  assert(bytes > 0);
  if (!has_room(bytes)) return nullptr;
  // The lowest free slot first: the slabs at the far end empty and go back to the system.
  Slabs& slabs = sizes_[bytes];
  const auto it = std::find_if(slabs.begin(), slabs.end(), [&](const auto& entry) {
    return entry.second.memory == &memory && !entry.second.free.empty();
  });
  Slab* slab = it != slabs.end() ? &it->second : grow(bytes, memory);
  if (slab == nullptr) return nullptr;
  std::pop_heap(slab->free.begin(), slab->free.end(), std::greater<>{});
  const uint32_t slot = slab->free.back();
  slab->free.pop_back();
  slab->references[slot] = 1;
  used_ += bytes;
  referenced_ += bytes;
  return slab->pages + rounded_up(bytes, kSlotAlignment) * slot;
}

Pool::Place Pool::find(const std::byte* slot, size_t bytes) {
  Slabs& slabs = sizes_.find(bytes)->second;
  auto it = slabs.upper_bound(slot);
  assert(it != slabs.begin());
  --it;
  const auto offset = static_cast<size_t>(slot - it->second.pages);
  return {it, static_cast<uint32_t>(offset / rounded_up(bytes, kSlotAlignment))};
}

void Pool::retain(const std::byte* slot, size_t bytes) {
  const Place place = find(slot, bytes);
  place.slab->second.references[place.slot]++;
  referenced_ += bytes;
}

uint32_t Pool::references(const std::byte* slot, size_t bytes) {
  const Place place = find(slot, bytes);
  return place.slab->second.references[place.slot];
}

void Pool::release(const std::byte* slot, size_t bytes) {
  const Place place = find(slot, bytes);
  Slab& slab = place.slab->second;
  assert(slab.references[place.slot] > 0);
  referenced_ -= bytes;
  if (--slab.references[place.slot] > 0) return;
  slab.free.push_back(place.slot);
  std::push_heap(slab.free.begin(), slab.free.end(), std::greater<>{});
  used_ -= bytes;
  if (slab.free.size() == slab.references.size()) {
    reserved_ -= slab.page_bytes;
    slab.memory->give(slab.pages, slab.page_bytes);
    sizes_[bytes].erase(place.slab);
  }
}

}  // namespace sightline::cache
