#include "m2b/util/typed_text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE("typed_text") {
  using namespace m2b;
  using namespace std::string_view_literals;

  TEST_CASE("a control character is named with its place") {
    CHECK(control_character_in("broker\r") == "a carriage return (CR) at its end");
    CHECK(control_character_in("broker\n") == "a line feed (LF) at its end");
    CHECK(control_character_in("a\r\nb") == "a carriage return (CR) inside");
    CHECK(control_character_in("\0a"sv) == "a NUL at its start");
    CHECK(control_character_in("a\tb") == "a tab inside");
    CHECK(control_character_in("a\x7f") == "a delete character (DEL) at its end");
    CHECK(control_character_in("\x1b[0m") == "a control character (U+001B) at its start");
    CHECK(control_character_in("a\xc2\x85z") == "a control character (U+0085) inside");
    for (const std::string_view good : {""sv, "a b"sv, "gr\xc3\xb6\xc3\x9f\x65"sv, "\xff\x85"sv}) {
      CHECK(control_character_in(good).empty());
    }
  }

  TEST_CASE("quotes around the whole, blanks and what nobody sees at an end are named") {
    for (const std::string_view text : {"\"a\""sv, "'a'"sv, "\"\""sv, "\"a\"b\""sv}) {
      CHECK(is_in_quotes(text));
      CHECK(odd_end_of(text) == "quotes around it");
    }
    CHECK(odd_end_of(" a") == "a blank at its start");
    CHECK(odd_end_of("a ") == "a blank at its end");
    CHECK(odd_end_of("\xc2\xa0\x61") == "a special blank (U+00A0) at its start");
    CHECK(odd_end_of("a\xe3\x80\x80") == "a special blank (U+3000) at its end");
    CHECK(odd_end_of("a\xe2\x80\x8b") == "an invisible character (U+200B) at its end");
    CHECK(odd_end_of("\xef\xbb\xbf\x61") == "a byte order mark (U+FEFF) at its start");
    CHECK(odd_end_of("\xe2\x80\x9c\x61\xe2\x80\x9d") ==
          "a typographic quote (U+201C) at its start");
    CHECK(odd_end_of("a\xc2\xbb") == "a typographic quote (U+00BB) at its end");
  }

  TEST_CASE("what may be meant is nothing odd") {
    for (const std::string_view text :
         {""sv, "\""sv, "a"sv, "\"a"sv, "a'"sv, "\"a'"sv, "a b"sv, "a\"b"sv, "gr\xc3\xbc\xc3\x9f"sv,
          "a\xe2\x80\x99s"sv, "\xff"sv, "a\xa0"sv, "\xe2\x80"sv, "\xf0\x9f\x98\x80"sv}) {
      CHECK(odd_end_of(text).empty());
      CHECK_FALSE(is_in_quotes(text));
    }
  }
}
