#include "cache/pages.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace sightline::cache {

#if defined(_WIN32)

size_t page_size() {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwAllocationGranularity;
}

std::byte* take_pages(size_t bytes) {
  return static_cast<std::byte*>(
      VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
}

void give_pages(std::byte* pages, size_t) { VirtualFree(pages, 0, MEM_RELEASE); }

std::byte* reserve_addresses(size_t bytes) {
  return static_cast<std::byte*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE, PAGE_NOACCESS));
}

#else

size_t page_size() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

namespace {

std::byte* map(size_t bytes, int protection = PROT_READ | PROT_WRITE) {
  void* pages = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<std::byte*>(pages);
}

}  // namespace

std::byte* take_pages(size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes % kHugePageBytes == 0) {
    // More than asked for, of which what lies at whole huge pages is kept.
    std::byte* all = map(bytes + kHugePageBytes);
    if (all == nullptr) return nullptr;
    const size_t before = (kHugePageBytes - reinterpret_cast<uintptr_t>(all)) % kHugePageBytes;
    if (before > 0) munmap(all, before);
    if (before < kHugePageBytes) munmap(all + before + bytes, kHugePageBytes - before);
    madvise(all + before, bytes, MADV_HUGEPAGE);  // without any it is memory all the same
    return all + before;
  }
#endif
  return map(bytes);
}

void give_pages(std::byte* pages, size_t bytes) { munmap(pages, bytes); }

std::byte* reserve_addresses(size_t bytes) { return map(bytes, PROT_NONE); }

#endif

}  // namespace sightline::cache
