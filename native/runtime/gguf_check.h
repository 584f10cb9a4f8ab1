#pragma once
// A look at a model file before llama.cpp loads it: what a damaged or hostile file gets wrong in
// ways that would end the process instead of failing the load.

#include <string>

#include "runtime/error.h"

namespace sightline::runtime {

Result<Done> check_gguf(const std::string& path);

}  // namespace sightline::runtime
