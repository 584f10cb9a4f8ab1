#include "device/inputs.h"

#include <algorithm>

namespace sightline::device {
namespace {

constexpr uint16_t kMinusInfinity = 0xfc00;

bool readable(const ggml_tensor* mask, int64_t queries) {
  return is_input(mask) && mask->type == GGML_TYPE_F16 && mask->ne[1] >= queries &&
         mask->ne[2] == 1 && mask->ne[3] == 1;
}

const uint16_t* row_of(const ggml_tensor* mask, int64_t query) {
  return reinterpret_cast<const uint16_t*>(static_cast<const char*>(mask->data) +
                                           query * static_cast<int64_t>(mask->nb[1]));
}

}  // namespace

std::vector<int64_t> row_numbers(const ggml_tensor* rows) {
  if (!is_input(rows)) return {};
  std::vector<int64_t> numbers(static_cast<size_t>(rows->ne[0]));
  for (size_t i = 0; i < numbers.size(); i++)
    numbers[i] = rows->type == GGML_TYPE_I64 ? static_cast<const int64_t*>(rows->data)[i]
                                             : static_cast<const int32_t*>(rows->data)[i];
  return numbers;
}

std::optional<Sight> read_mask(const ggml_tensor* mask, int64_t queries, int64_t rows) {
  Sight sight;
  sight.visible.assign(static_cast<size_t>(queries), static_cast<int32_t>(rows));
  sight.end = static_cast<int32_t>(rows);
  if (mask == nullptr) return sight;
  if (!readable(mask, queries)) return std::nullopt;
  sight.end = 0;
  for (int64_t i = 0; i < queries; i++) {
    const uint16_t* row = row_of(mask, i);
    int64_t visible = mask->ne[0];
    while (visible > 0 && row[visible - 1] == kMinusInfinity) visible--;
    uint16_t added = 0;
    for (int64_t j = 0; j < visible; j++) added |= row[j];
    sight.visible[static_cast<size_t>(i)] = static_cast<int32_t>(visible);
    sight.end = std::max(sight.end, static_cast<int32_t>(visible));
    if (added == 0) continue;
    sight.plain = false;
    sight.whole = sight.whole && std::find(row, row + visible, kMinusInfinity) == row + visible;
  }
  return sight;
}

bool sees(const ggml_tensor* mask, int64_t queries, int64_t rows,
          const std::function<bool(int64_t)>& is_row) {
  const bool hides = mask != nullptr && readable(mask, queries);
  for (int64_t j = 0; j < (hides ? mask->ne[0] : rows); j++) {
    if (!is_row(j)) continue;
    if (!hides) return true;
    for (int64_t i = 0; i < queries; i++)
      if (row_of(mask, i)[j] != kMinusInfinity) return true;
  }
  return false;
}

}  // namespace sightline::device
