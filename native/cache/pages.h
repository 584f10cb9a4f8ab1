#pragma once
// Pages straight from the operating system, so that what is given back is gone from the process.

#include <cstddef>

namespace sightline::cache {

size_t page_size();

/// Memory of whole huge pages is backed by them where the system has any to give: attention reads
/// all of a cache for every token, and looking up a page of 4 KiB takes about as long as reading
/// it.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

/// `bytes` is a multiple of page_size(); null when the system has no memory left.
[[nodiscard]] std::byte* take_pages(size_t bytes);
void give_pages(std::byte* pages, size_t bytes);

/// Addresses that no memory is behind: nothing may be read or written there. `bytes` as above; null
/// when there are not so many left. Given back as pages are.
[[nodiscard]] std::byte* reserve_addresses(size_t bytes);

}  // namespace sightline::cache
