#include "device/inputs.h"

#include <algorithm>

#include "ggml-backend.h"

namespace sightline::device {
namespace {

constexpr uint16_t kMinusInfinity = 0xfc00;

bool is_input(const ggml_tensor* tensor) { return tensor->op == GGML_OP_NONE; }

/// Whether its data can be read where it is.
bool is_here(const ggml_tensor* tensor) {
  return is_input(tensor) && tensor->buffer != nullptr &&
         ggml_backend_buffer_is_host(tensor->buffer);
}

bool is_mask(const ggml_tensor* mask, int64_t queries) {
  return mask->type == GGML_TYPE_F16 && mask->ne[1] >= queries && mask->ne[2] == 1 &&
         mask->ne[3] == 1;
}

bool is_list(const ggml_tensor* tensor) {
  return (tensor->type == GGML_TYPE_I64 || tensor->type == GGML_TYPE_I32) && tensor->ne[1] == 1 &&
         tensor->ne[2] == 1 && tensor->ne[3] == 1;
}

const uint16_t* row_of(const ggml_tensor* mask, const void* data, int64_t query) {
  return reinterpret_cast<const uint16_t*>(static_cast<const char*>(data) +
                                           query * static_cast<int64_t>(mask->nb[1]));
}

std::vector<int64_t> numbers_in(const ggml_tensor* list, const void* data) {
  std::vector<int64_t> numbers(static_cast<size_t>(list->ne[0]));
  for (size_t i = 0; i < numbers.size(); i++)
    numbers[i] = list->type == GGML_TYPE_I64 ? static_cast<const int64_t*>(data)[i]
                                             : static_cast<const int32_t*>(data)[i];
  return numbers;
}

Sight sight_of(const ggml_tensor* mask, const void* data, int64_t queries) {
  Sight sight;
  sight.visible.resize(static_cast<size_t>(queries));
  for (int64_t i = 0; i < queries; i++) {
    const uint16_t* row = row_of(mask, data, i);
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

}  // namespace

void Inputs::note(const ggml_tensor* tensor, const void* data) {
  if (is_list(tensor)) {
    noted_[tensor->data] = numbers_in(tensor, data);
  } else if (is_mask(tensor, 0)) {
    noted_[tensor->data] = sight_of(tensor, data, tensor->ne[1]);
  }
}

std::vector<int64_t> Inputs::row_numbers(const ggml_tensor* rows) const {
  if (!is_list(rows)) return {};
  if (is_here(rows)) return numbers_in(rows, rows->data);
  const auto noted = noted_.find(rows->data);
  if (!is_input(rows) || noted == noted_.end()) return {};
  const auto* numbers = std::get_if<std::vector<int64_t>>(&noted->second);
  return numbers != nullptr && numbers->size() == static_cast<size_t>(rows->ne[0])
             ? *numbers
             : std::vector<int64_t>();
}

std::optional<Sight> Inputs::mask(const ggml_tensor* mask, int64_t queries, int64_t rows) const {
  if (mask == nullptr) {
    const auto end = static_cast<int32_t>(rows);
    return Sight{std::vector<int32_t>(static_cast<size_t>(queries), end), end};
  }
  if (!is_mask(mask, queries)) return std::nullopt;
  if (is_here(mask)) return sight_of(mask, mask->data, queries);
  const auto noted = noted_.find(mask->data);
  if (!is_input(mask) || noted == noted_.end()) return std::nullopt;
  const auto* sight = std::get_if<Sight>(&noted->second);
  if (sight == nullptr || sight->visible.size() != static_cast<size_t>(mask->ne[1]) ||
      sight->end > mask->ne[0])
    return std::nullopt;
  Sight own = *sight;
  own.visible.resize(static_cast<size_t>(queries));
  return own;
}

bool sees(const ggml_tensor* mask, int64_t queries, int64_t rows,
          const std::function<bool(int64_t)>& is_row) {
  const bool hides = mask != nullptr && is_here(mask) && is_mask(mask, queries);
  for (int64_t j = 0; j < (hides ? mask->ne[0] : rows); j++) {
    if (!is_row(j)) continue;
    if (!hides) return true;
    for (int64_t i = 0; i < queries; i++)
      if (row_of(mask, mask->data, i)[j] != kMinusInfinity) return true;
  }
  return false;
}

}  // namespace sightline::device
