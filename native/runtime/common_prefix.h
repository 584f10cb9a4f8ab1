#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "llama.h"

namespace sightline::runtime {

/// How many tokens two texts start with that are the same.
inline size_t common_prefix(std::span<const llama_token> a, std::span<const llama_token> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

}  // namespace sightline::runtime
