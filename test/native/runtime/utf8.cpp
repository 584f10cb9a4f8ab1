#include "runtime/utf8.h"

#include <doctest/doctest.h>

#include <string>

using sightline::runtime::whole_characters;

TEST_CASE("text is told in whole characters") {
  CHECK(whole_characters("") == 0);
  CHECK(whole_characters("abc") == 3);
  const std::string text = "aé€😀";
  for (size_t length = 0; length <= text.size(); length++) {
    const size_t whole = whole_characters(std::string_view(text).substr(0, length));
    const bool boundary = length == 0 || length == 1 || length == 3 || length == 6 || length == 10;
    CHECK((whole == length) == boundary);
    CHECK((whole == 0 || whole == 1 || whole == 3 || whole == 6 || whole == 10));
  }
}

TEST_CASE("bytes that are no character are not held back for ever") {
  CHECK(whole_characters("\x80\x80\x80\x80") == 4);
  CHECK(whole_characters("\xff") == 0);
  CHECK(whole_characters("\xff___") == 4);
}
