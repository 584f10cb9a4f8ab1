#pragma once
// What llama.cpp has written into a graph's inputs before it runs: row numbers and masks.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "ggml.h"

namespace sightline::device {

/// What a mask lets each query see.
struct Sight {
  std::vector<int32_t> visible;  // by query: one more than the last row it sees
  int32_t end = 0;               // the largest of these
  bool plain = true;             // the mask adds nothing to what is visible
  bool whole = true;             // and hides nothing before that
};

/// Inputs are set before the graph runs, so they may be read while it is prepared: where they lie,
/// or, in memory that cannot be read from here, as they were noted on their way there.
class Inputs {
 public:
  /// Takes note of a whole tensor that is set, where it may be read later.
  void note(const ggml_tensor* tensor, const void* data);

  /// The rows that a SET_ROWS writes; none where they are not an input.
  std::vector<int64_t> row_numbers(const ggml_tensor* rows) const;

  /// `mask` is an FP16 input [rows, queries], or null: every query sees all rows. Nothing where it
  /// is something else.
  std::optional<Sight> mask(const ggml_tensor* mask, int64_t queries, int64_t rows) const;

 private:
  using Noted = std::variant<std::vector<int64_t>, Sight>;
  std::map<const void*, Noted> noted_;  // by address of the data
};

/// Whether a query sees a row of which `is_row` is true. A mask that cannot be read hides nothing.
bool sees(const ggml_tensor* mask, int64_t queries, int64_t rows,
          const std::function<bool(int64_t)>& is_row);

}  // namespace sightline::device
