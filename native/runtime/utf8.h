#pragma once
// Text that arrives in pieces which may end inside a character.

#include <cstddef>
#include <string_view>

namespace sightline::runtime {

/// Length of the longest prefix that does not end inside a UTF-8 character. Bytes that no character
/// begins with count as characters of their own, so nothing is held back for ever.
constexpr size_t whole_characters(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); back++) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;  // inside a character: look further back
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace sightline::runtime
