#include "m2b/util/ascii.hpp"

#include <doctest/doctest.h>

namespace {

using m2b::ascii_lower;
using m2b::is_ascii_word;
using m2b::trimmed;

TEST_SUITE("ascii") {
  TEST_CASE("lower case is of ASCII's letters alone") {
    CHECK(ascii_lower("AZaz09_-@[") == "azaz09_-@[");
    CHECK(ascii_lower("GRÖSSE\xC0") == "grÖsse\xC0");
    CHECK(ascii_lower("").empty());
  }

  TEST_CASE("a word is the same in any case") {
    CHECK(is_ascii_word("Content-LENGTH", "content-length"));
    CHECK(is_ascii_word("", ""));
    CHECK_FALSE(is_ascii_word("Content-Lengt", "content-length"));
    CHECK_FALSE(is_ascii_word("Content-Length ", "content-length"));
  }

  TEST_CASE("blanks around a text go, those inside stay") {
    CHECK(trimmed("\t a b \t") == "a b");
    CHECK(trimmed("a") == "a");
    CHECK(trimmed(" \t").empty());
    CHECK(trimmed("").empty());
    CHECK(trimmed("a\r") == "a\r");
    CHECK(trimmed("a\r", " \t\r") == "a");
  }
}

}  // namespace
