#include "m2b/util/visible.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("visible") {
  using m2b::unfit_length;
  using m2b::visible;

  TEST_CASE("what a person can read stays") {
    for (const std::string text :
         {"", "a b", "größe", "日本語/写真", "😀", "a\\b", "\u00a0", "e\u0301"}) {
      CHECK(visible(text) == text);
    }
  }

  TEST_CASE("nothing that moves a cursor or ends a line is left") {
    CHECK(visible("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
    CHECK(visible(std::string("\0", 1)) == "\\x00");
    CHECK(visible("\u009b31m") == "\\xc2\\x9b31m");  // CSI in one character
    CHECK(visible("\u0085\u2028\u2029") == "\\xc2\\x85\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
  }

  TEST_CASE("nothing that makes a person read another text is left") {
    for (const std::string text : {"\u00ad", "\u061c", "\u200b", "\u200e", "\u202a", "\u202e",
                                   "\u2066", "\u2069", "\ufeff", "\U000e0041"}) {
      CHECK(unfit_length(text + "x") == text.size());
    }
    CHECK(visible("gpj.\u202etxt") == "gpj.\\xe2\\x80\\xaetxt");
  }

  TEST_CASE("bytes that are no UTF-8 are told one by one") {
    CHECK(visible("\xff\x9b") == "\\xff\\x9b");
    CHECK(visible("\xc3") == "\\xc3");
    CHECK(visible("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
    CHECK(visible("\xf0\x9f\x98") == "\\xf0\\x9f\\x98");  // cut in the middle
  }

  TEST_CASE("chosen characters get a backslash") {
    CHECK(visible("a\"b\\c", "\"\\") == "a\\\"b\\\\c");
    CHECK(visible("a\"b", "") == "a\"b");
  }

  TEST_CASE("JSON has its own way to escape a character") {
    CHECK(m2b::json_escape("\n") == "\\u000a");
    CHECK(m2b::json_escape("\u009b") == "\\u009b");
    CHECK(m2b::json_escape("\U000E0041") == "\\udb40\\udc41");
  }

  TEST_CASE("what is unfit is measured by whole characters") {
    CHECK(unfit_length("") == 0);
    CHECK(unfit_length("a") == 0);
    CHECK(unfit_length("\n\n") == 1);
    CHECK(unfit_length("\u009b\n") == 2);
    CHECK(unfit_length("\u2028") == 3);
    CHECK(unfit_length("\xff\xff") == 1);
  }
}

}  // namespace
