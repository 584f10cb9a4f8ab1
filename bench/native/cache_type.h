#pragma once
#include <map>
#include <stdexcept>
#include <string>

#include "ggml.h"

namespace sightline::bench {

/// A type of llama.cpp's own cache. Throws std::invalid_argument on other names.
inline ggml_type cache_type(const std::string& name) {
  static const std::map<std::string, ggml_type> types = {
      {"f16", GGML_TYPE_F16}, {"q8_0", GGML_TYPE_Q8_0}, {"q4_0", GGML_TYPE_Q4_0}};
  const auto found = types.find(name);
  if (found == types.end()) throw std::invalid_argument("--type is f16, q8_0 or q4_0");
  return found->second;
}

}  // namespace sightline::bench
