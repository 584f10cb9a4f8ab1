#pragma once
// Typed access into the bytes of a part.

#include <cstddef>
#include <cstdint>

namespace sightline::attention {

template <typename T>
T* at_offset(std::byte* part, size_t offset) {
  return reinterpret_cast<T*>(part + offset);
}

template <typename T>
const T* at_offset(const std::byte* part, size_t offset) {
  return reinterpret_cast<const T*>(part + offset);
}

constexpr size_t area(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

}  // namespace sightline::attention
