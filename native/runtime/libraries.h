#pragma once
// The prebuilt libraries of llama.cpp: which release they are, and ggml's CPU device from them.

#include <string>

#include "ggml-backend.h"
#include "runtime/error.h"

namespace sightline::runtime {

/// Release of llama.cpp whose headers this was built with, and the one that is loaded.
std::string built_release();
std::string loaded_release();

/// Loads the best CPU backend that runs here from `folder`, once per process.
Result<ggml_backend_dev_t> cpu_device(const std::string& folder);

}  // namespace sightline::runtime
