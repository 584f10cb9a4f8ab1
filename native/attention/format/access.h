#pragma once
// Where the elements of a part are. Everything is stored in panels of kLanes lanes, tokens for keys
// and channels for values, so that a kernel that works on one panel reads memory in order.

#include <cstddef>
#include <cstdint>

#include "attention/block.h"

namespace sightline::attention {

/// Lanes of a panel: a multiple of every vector's width.
inline constexpr int kLanes = 16;
static_assert(kTokenGranule % kLanes == 0);

template <typename T>
T* at_offset(std::byte* part, size_t offset) {
  return reinterpret_cast<T*>(part + offset);
}

template <typename T>
const T* at_offset(const std::byte* part, size_t offset) {
  return reinterpret_cast<const T*>(part + offset);
}

constexpr size_t area(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

/// Panels start at the beginning of a cache line.
inline constexpr size_t kLine = 64;
constexpr size_t lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

/// In panels [lanes / kLanes][rows][kLanes] of elements.
constexpr size_t panel_index(int row, int rows, int lane) {
  return (area(lane / kLanes, rows) + static_cast<size_t>(row)) * kLanes +
         static_cast<size_t>(lane % kLanes);
}

constexpr size_t key_index(const Extent& extent, int token, int channel) {
  return panel_index(channel, extent.head_dim, token);
}

constexpr size_t value_index(const Extent& extent, int token, int channel) {
  return panel_index(token, extent.capacity, channel);
}

/// Byte of a code, and the bits to shift it by. In panels
/// [lanes / kLanes][rows / (4 * per_byte)][kLanes][4] of bytes: the four codes that one integer dot
/// product sums up lie side by side; the fields of a byte are four rows apart.
struct CodePlace {
  size_t byte;
  int shift;
};

constexpr CodePlace code_place(int row, int rows, int lane, int bits) {
  const int run = 32 / bits;  // rows whose codes share four bytes
  return {panel_index(row / run, rows / run, lane) * 4 + static_cast<size_t>(row % 4),
          row % run / 4 * bits};
}

}  // namespace sightline::attention
