#pragma once
// Which release of ggml this is built for, and which one runs. Struct layouts and operation numbers
// differ between releases and nothing else checks them.

#include <string>

#include "ggml.h"

namespace sightline::backend {

/// As running_release(), of the libraries that this was built with.
const char* built_release();

inline std::string running_release() {
  return std::string(ggml_version()) + " (" + ggml_commit() + ")";
}

}  // namespace sightline::backend
