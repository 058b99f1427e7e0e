#include "m2b/util/utf8.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("utf8") {
  using namespace m2b;

  TEST_CASE("each code point comes back from its bytes") {
    for (char32_t code = 0; code <= 0x10FFFF; ++code) {
      std::string text;
      append_utf8(text, code);
      REQUIRE(text.size() == utf8_length(code));
      if (is_surrogate(code)) {
        REQUIRE(utf8_character_length(text) == 0);
        REQUIRE(encoded_surrogate(text) == code);
      } else {
        REQUIRE(utf8_character_length(text) == text.size());
        REQUIRE(utf8_code_point(text) == code);
        REQUIRE(encoded_surrogate(text) == 0);
      }
    }
  }

  TEST_CASE("a text is UTF-8 up to a place") {
    CHECK(utf8_prefix_length("") == 0);
    CHECK(utf8_prefix_length("aé€") == 6);
    CHECK(utf8_prefix_length("aé\xFF€") == 3);
    CHECK(utf8_prefix_length("a\xED\xA0\x80") == 1);
    CHECK(utf8_prefix_length("a\xC3") == 1);
    CHECK(is_utf8("aé€"));
    CHECK_FALSE(is_utf8("aé\xFF"));
  }

  TEST_CASE("only whole surrogates are surrogates") {
    CHECK(encoded_surrogate("\xED\xA0\xBD more") == 0xD83D);
    CHECK(encoded_surrogate("\xED\xBF\xBF") == 0xDFFF);
    for (const char* const other :
         {"", "\xED", "\xED\xA0", "\xED\xA0 ", "\xED\x9F\xBF", "\xEE\x80\x80", "a"}) {
      CHECK(encoded_surrogate(other) == 0);
    }
  }

  TEST_CASE("two surrogates are one code point") {
    CHECK(join_surrogates(0xD83D, 0xDE00) == 0x1F600);
    CHECK(join_surrogates(0xDBFF, 0xDFFF) == 0x10FFFF);
    CHECK(is_high_surrogate(0xDBFF));
    CHECK_FALSE(is_high_surrogate(0xDC00));
    CHECK(is_low_surrogate(0xDC00));
    CHECK_FALSE(is_low_surrogate(0xE000));
  }
}

}  // namespace
