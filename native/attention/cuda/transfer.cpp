#include "attention/cuda/transfer.h"

#include <vector>

#include "attention/format/access.h"
#include "attention/format/format.h"

namespace sightline::attention::cuda {
namespace {

/// Calls move(element's bytes in panels of elements, the same in panels of words).
template <typename Move>
void each_element(int rows, int lanes, size_t bytes, const Move& move) {
  const auto in_word = static_cast<int>(4 / bytes);
  for (int lane = 0; lane < lanes; lane++) {
    for (int row = 0; row < rows; row++)
      move(panel_index(row, rows, lane) * bytes,
           panel_index(row / in_word, rows / in_word, lane) * 4 +
               static_cast<size_t>(row % in_word) * bytes);
  }
}

size_t element_bytes(Format format) {
  switch (format) {
    case Format::fp16:
      return 2;
    case Format::fp8:
      return 1;
    default:
      return 0;
  }
}

void reorder(Format format, int rows, int lanes, std::byte* elements, bool inwards) {
  const size_t bytes = element_bytes(format);
  if (bytes == 0) return;
  const std::vector<std::byte> before(elements, elements + area(rows, lanes) * bytes);
  each_element(rows, lanes, bytes, [&](size_t in_elements, size_t in_words) {
    const size_t from = inwards ? in_elements : in_words;
    const size_t to = inwards ? in_words : in_elements;
    for (size_t i = 0; i < bytes; i++) elements[to + i] = before[from + i];
  });
}

void reorder(Tier tier, const Extent& extent, std::span<std::byte> part, bool inwards) {
  reorder(tier.k, extent.head_dim, extent.capacity, part.data(), inwards);
  reorder(tier.v, extent.capacity, extent.head_dim, part.data() + values_offset(tier, extent),
          inwards);
}

}  // namespace

void to_words(Tier tier, const Extent& extent, std::span<std::byte> part) {
  reorder(tier, extent, part, true);
}

void from_words(Tier tier, const Extent& extent, std::span<std::byte> part) {
  reorder(tier, extent, part, false);
}

}  // namespace sightline::attention::cuda
