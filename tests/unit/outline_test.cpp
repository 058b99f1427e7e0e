#include "decode/outline.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>

namespace {

TEST_SUITE("outline") {
  using m2b::make_outline;
  using m2b::StringMarks;
  using namespace std::string_literals;

  constexpr std::size_t kPlenty = 1 << 20;
  const std::string kLong(10'000, 'A');

  std::string json_of(const std::string& text) {
    StringMarks marks;
    return make_outline(text, kPlenty, marks).value_or("none");
  }
  /// What stands for the one string of the document.
  std::string text_of(const std::string& content) {
    const std::string text = "[\"" + content + "\"]";
    StringMarks marks;
    CHECK(make_outline(text, kPlenty, marks) == R"(["\u0000string-0"])");
    return std::string(marks.text_of("\0string-0"s));
  }

  TEST_CASE("a document without long strings stays as it is") {
    for (const std::string text :
         {"", "{}", R"({"a": "b\"c", "d": [1, 2]} )", R"(["\\"])", "x\"y\"z", "[1"}) {
      CHECK(json_of(text) == text);
    }
  }

  TEST_CASE("a long string is left out, and can be asked for") {
    CHECK(text_of(kLong) == kLong);
    CHECK(text_of("\xC3\xA4" + kLong) == "\xC3\xA4" + kLong);
  }

  TEST_CASE("escapes are resolved, lone surrogates too") {
    CHECK(text_of(kLong + R"(\/\\\"\b\f\n\r\t\u002B\u002f\u0000)" + kLong) ==
          kLong + "/\\\"\b\f\n\r\t+/" + std::string(1, '\0') + kLong);
    CHECK(text_of(kLong + R"(\u00e4\ud83d\ude00)") == kLong + "ä\U0001f600");
    CHECK(text_of(kLong + R"(\ud83d)") == kLong + "\xED\xA0\xBD");
    CHECK(text_of(kLong + "\xED\xA0\xBD") == kLong + "\xED\xA0\xBD");
  }

  TEST_CASE("what cannot stand in a string stays for the parser to refuse") {
    for (const std::string& odd : {R"(\x)"s, R"(\u12)"s, "\n"s, "\xFF"s, "\xC3"s, "\0"s}) {
      const std::string text = "[\"" + kLong + odd + "\"]";
      CHECK(json_of(text) == text);
    }
    for (const std::string text : {"\"", "{\"a", R"("\)", R"(["\"])"}) {
      CHECK(json_of(text) == text);
    }
  }

  TEST_CASE("a string that looks like a mark is not taken for one") {
    const std::string text = R"(["\u0000string-1", ")" + kLong + "\"]";
    StringMarks marks;
    CHECK(make_outline(text, kPlenty, marks) == R"(["\u0000string-0", "\u0000string-1"])");
    CHECK(marks.text_of("\0string-0"s) == "\0string-1"s);
    CHECK(marks.text_of("\0string-1"s) == kLong);
    CHECK(marks.text_of("string-0") == "string-0");
    for (const std::string& other : {"\0string-0x"s, "\0string-"s, "\0string-2"s}) {
      CHECK(marks.text_of(other) == other);
    }
  }

  TEST_CASE("nothing is given when too much is left") {
    const std::string text = "[\"" + kLong + "\", 1, 2, 3]";
    const std::size_t left = json_of(text).size();
    StringMarks marks;
    CHECK(make_outline(text, left, marks).has_value());
    StringMarks others;
    CHECK_FALSE(make_outline(text, left - 1, others).has_value());
    StringMarks none;
    CHECK_FALSE(make_outline(std::string(100, '['), 99, none).has_value());
  }
}

}  // namespace
