#pragma once
// What can be said of any graph's nodes.

#include "ggml.h"

namespace sightline::device {

/// Only gives another view of the same bytes.
inline bool is_view(const ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_VIEW:
    case GGML_OP_RESHAPE:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    default:
      return false;
  }
}

}  // namespace sightline::device
