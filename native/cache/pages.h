#pragma once
// Pages straight from the operating system, so that what is given back is gone from the process.

#include <cstddef>

namespace sightline::cache {

size_t page_size();

/// `bytes` is a multiple of page_size(); null when the system has no memory left.
[[nodiscard]] std::byte* take_pages(size_t bytes);
void give_pages(std::byte* pages, size_t bytes);

}  // namespace sightline::cache
