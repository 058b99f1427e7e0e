#include "decode/json_string.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("json string") {
  using m2b::first_json_character;
  using m2b::plain_json_length;
  using m2b::unescape_json;
  using namespace std::string_literals;

  TEST_CASE("escapes of two characters are those of RFC 8259") {
    CHECK(unescape_json(R"(\"\\\/\b\f\n\r\t)") == "\"\\/\b\f\n\r\t");
    for (const std::string other : {R"(\a)", R"(\')", R"(\x41)", R"(\U0041)", "\\", "\\\n"}) {
      CAPTURE(other);
      CHECK(unescape_json("good" + other) == std::nullopt);
    }
  }

  TEST_CASE("escapes of code points become UTF-8") {
    CHECK(unescape_json(R"(a\u0000b\u00e9\u20AC\ud83d\uDE00)") == "a\0bé€\U0001f600"s);
    for (const std::string other : {R"(\u)", R"(\u123)", R"(\u12g4)", R"(\u+123)", R"(\u 123)"}) {
      CAPTURE(other);
      CHECK(unescape_json(other) == std::nullopt);
    }
  }

  TEST_CASE("surrogates without their other half are three bytes") {
    CHECK(unescape_json(R"(\ud800)") == "\xED\xA0\x80");
    CHECK(unescape_json(R"(\udfffx)") == "\xED\xBF\xBFx");
    CHECK(unescape_json(R"(\ude00\ud83d)") == "\xED\xB8\x80\xED\xA0\xBD");
    CHECK(unescape_json(R"(\ud83d\ud83d\ude00)") == "\xED\xA0\xBD\U0001f600");
    CHECK(unescape_json(R"(\ud83d\n)") == "\xED\xA0\xBD\n");
    CHECK(unescape_json("\xED\xA0\xBD\xED\xB8\x80") == "\xED\xA0\xBD\xED\xB8\x80");
    CHECK(unescape_json("\\ud83d\xED\xB8\x80") == "\xED\xA0\xBD\xED\xB8\x80");
    CHECK(unescape_json(R"(\ud83d\u12)") == std::nullopt);
  }

  TEST_CASE("control characters and what is no UTF-8 may not stand in a string") {
    for (const std::string& other : {"\n"s, "\0"s, "\x1F"s, "\xFF"s, "\xC3"s, "\xC0\xAF"s,
                                     "\xED\xA0"s, "\xED\x9F"s, "\xF4\x90\x80\x80"s}) {
      CAPTURE(other);
      CHECK(unescape_json("good" + other) == std::nullopt);
      CHECK(first_json_character(other).bytes == 0);
    }
    CHECK(unescape_json("\x7F") == "\x7F");
  }

  TEST_CASE("plain is what needs no second look") {
    CHECK(plain_json_length("") == 0);
    CHECK(plain_json_length("abc") == 3);
    CHECK(plain_json_length("ab\\n") == 2);
    CHECK(plain_json_length("ab\"") == 2);
    CHECK(plain_json_length("ab\n") == 2);
    CHECK(plain_json_length("ab\xC3\xA4") == 2);
  }
}

}  // namespace
