#pragma once
// Where the elements of a part are in GPU memory, and how a warp gets them as operands of matrix
// products.
//
// As in the CPU's layouts (format/access.h) keys are in panels of 16 tokens and values in panels of
// 16 channels, and grids and means are where they are there. In a panel all formats are words of
// four bytes, [rows / run][16 lanes], a word holding the elements of `run` consecutive rows: two
// halves, four codes of 8 bits, eight of 4, sixteen of 2, fields of a byte four rows apart. For
// codes that is the CPU's layout; fp16 and fp8 are reordered when a part is brought over
// (transfer.h).
//
// Sixteen lanes by sixteen rows are operand A of a product. Lane 4 * i + j of the warp holds lanes
// 2 * i and 2 * i + 1 of the panel (operand rows i and i + 8), and four rows of each as two pairs,
// rows 0 and 2, rows 1 and 3 of its four: pairs that masks and shifts get out of a word of codes.
// Operand B has its rows in the same order.

#include <cstddef>
#include <cstdint>

#include "attention/block.h"
#include "attention/cuda/kernels/device.h"
#include "attention/format/access.h"

namespace sightline::attention::cuda {

constexpr int bits_of(Format format) {
  switch (format) {
    case Format::int4:
      return 4;
    case Format::int2:
      return 2;
    case Format::int8:
    case Format::fp8:
      return 8;
    case Format::fp16:
    case Format::lowrank:
      return 16;
  }
  return 0;
}

__device__ inline const uint16_t* halves_at(const std::byte* part, size_t offset) {
  return reinterpret_cast<const uint16_t*>(part + offset);
}

/// Where a token's element of a channel is among the halves of a part's keys (values).
__device__ constexpr size_t half_index(bool keys, const Extent& extent, int token, int channel) {
  const int row = keys ? channel : token, lane = keys ? token : channel;
  const int rows = keys ? extent.head_dim : extent.capacity;
  return panel_index(row / 2, rows / 2, lane) * 2 + static_cast<size_t>(row % 2);
}

inline constexpr int kChunkBytes = 16;                      // copied at a time
inline constexpr int kRowBytes = kLanes * 4;                // a row of words
inline constexpr int kRowChunks = kRowBytes / kChunkBytes;  // lanes 0 to 3, 4 to 7, ...
inline constexpr int kLineChunks = 2 * kRowChunks;          // what all banks hold

/// Where a chunk of a tile lies in shared memory, so that the reads of a warp's halves, from any
/// four rows that operands take together, meet in no bank: four rows one after another, or two
/// apart. Chunks are numbered by row. Linear over the bits: place(a ^ b) = place(a) ^ place(b).
__device__ constexpr int chunk_place(int chunk) {
  const int line = chunk / kLineChunks;
  return line * kLineChunks + (chunk % kLineChunks ^ line % 4 * 2);
}

/// The words of two neighbouring lanes.
struct alignas(8) WordPair {
  uint32_t of[2];
};

/// Words of the panel's lanes 2 * i and 2 * i + 1 in row first + row of a tile in shared memory;
/// `first`, a multiple of a power of two above `row`, is known to the compiler.
__device__ inline WordPair words_at(const std::byte* tile, int first, int row, int i) {
  const int start = chunk_place(first * kRowChunks) * kChunkBytes;
  const int in_line = start % (kLineChunks * kChunkBytes);
  const int own = chunk_place(row * kRowChunks + i / 2) * kChunkBytes + i % 2 * 8;
  return *reinterpret_cast<const WordPair*>(tile + (start - in_line) + (own ^ in_line));
}

/// Four rows of a lane as two pairs of halves: rows 0 and 2, rows 1 and 3.
struct Four {
  uint32_t even, odd;
};

/// Two codes, in the low bytes of halves, as numbers: 1024 + code is 0x6400 | code.
__device__ inline uint32_t numbers_of(uint32_t codes, uint32_t offset) {
  return subtract_halves(codes | 0x64006400u, offset);
}

/// What is taken off codes: the middle of their range, which keeps products and their sums small.
template <Format kFormat>
inline constexpr int kMiddle = kFormat == Format::int8   ? 128
                               : kFormat == Format::int4 ? 8
                               : kFormat == Format::int2 ? 2
                                                         : 0;

/// The field of a word of codes that holds four rows: as numbers, code - kMiddle, or what an e4m3
/// code stands for: moved up it is a half of 2^-8 times that (format/fp8.h).
template <Format kFormat>
__device__ inline Four numbers_in(uint32_t word, int field) {
  if constexpr (kFormat == Format::fp8) {
    const auto moved = [](uint32_t codes) {
      return multiply_halves((codes & 0x00800080u) << 8 | (codes & 0x007f007fu) << 7, 0x5c005c00u);
    };
    return {moved(word), moved(word >> 8)};
  } else {
    constexpr int kBits = bits_of(kFormat);
    constexpr uint32_t kMask = 0x00010001u * ((1u << kBits) - 1);
    constexpr uint32_t kOffset = 0x64006400u + 0x00010001u * kMiddle<kFormat>;
    word >>= field * kBits;
    return {numbers_of(word & kMask, kOffset), numbers_of(word >> 8 & kMask, kOffset)};
  }
}

/// Operand A from a field of a row of words.
template <Format kFormat>
__device__ inline void load_codes(const std::byte* tile, int first, int row, int field, int i,
                                  uint32_t (&a)[4]) {
  const WordPair words = words_at(tile, first, row, i);
  const Four even = numbers_in<kFormat>(words.of[0], field);
  const Four odd = numbers_in<kFormat>(words.of[1], field);
  a[0] = even.even;
  a[1] = odd.even;
  a[2] = even.odd;
  a[3] = odd.odd;
}

/// Operand A of halves: from rows first + row and first + row + 1 of words, four rows of elements.
__device__ inline void load_halves(const std::byte* tile, int first, int row, int i,
                                   uint32_t (&a)[4]) {
  const WordPair low = words_at(tile, first, row, i);
  const WordPair high = words_at(tile, first, row + 1, i);
  for (int n = 0; n < 2; n++) {
    a[n] = select_bytes(low.of[n], high.of[n], 0x5410);
    a[n + 2] = select_bytes(low.of[n], high.of[n], 0x7632);
  }
}

}  // namespace sightline::attention::cuda
