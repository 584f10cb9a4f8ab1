#pragma once
// Sizes in messages.

#include <cstddef>
#include <string>

namespace sightline::runtime {

/// `1.5 GiB`, or `12.0 MiB` of what is less than one.
inline std::string size_text(size_t bytes) {
  const bool is_large = bytes >= size_t{1} << 30;
  const std::string text = std::to_string(static_cast<double>(bytes) / (1 << (is_large ? 30 : 20)));
  return text.substr(0, text.find('.') + 2) + (is_large ? " GiB" : " MiB");
}

}  // namespace sightline::runtime
