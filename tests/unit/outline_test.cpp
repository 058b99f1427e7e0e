#include "decode/outline.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>

namespace {

TEST_SUITE("outline") {
  using m2b::Outline;

  constexpr std::size_t kPlenty = 1 << 20;
  const std::string kLong(10'000, 'A');

  std::string json_of(const std::string& text) {
    const auto outline = Outline::of(text, kPlenty);
    const auto* const found = std::get_if<Outline>(&outline);
    return found != nullptr ? std::string(found->json()) : "none";
  }
  /// What stands for the one string of the document.
  std::string text_of(const std::string& content) {
    const std::string text = "[\"" + content + "\"]";
    const auto result = Outline::of(text, kPlenty);
    const auto* const outline = std::get_if<Outline>(&result);
    REQUIRE(outline != nullptr);
    CHECK(outline->json() == "[\"\\u0000long-string-0\"]");
    return std::string(outline->text_of(std::string("\0long-string-0", 14)));
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

  TEST_CASE("simple escapes are resolved") {
    CHECK(text_of(kLong + R"(\/\\\"\b\f\n\r\t\u002B\u002f\u0000)" + kLong) ==
          kLong + "/\\\"\b\f\n\r\t+/" + std::string(1, '\0') + kLong);
  }

  TEST_CASE("what the parser has to judge stays with it") {
    for (const std::string odd :
         {R"(\u00e4)", R"(\ud83d\ude00)", R"(\ud83d)", R"(\x)", R"(\u12)"}) {
      const std::string text = "[\"" + kLong + odd + "\"]";
      CHECK(json_of(text) == text);
    }
  }

  TEST_CASE("what cannot stand in a string shows that it is no JSON") {
    for (const std::string& odd :
         {std::string("\n"), std::string("\xFF"), std::string("\xC3"), std::string(1, '\0')}) {
      const std::string text = "[\"" + kLong + odd + "\"]";
      CHECK(std::holds_alternative<Outline::NotJson>(Outline::of(text, kPlenty)));
    }
    for (const std::string text : {"\"", "{\"a", R"("\)", R"(["\"])"}) {
      CHECK(std::holds_alternative<Outline::NotJson>(Outline::of(text, kPlenty)));
    }
  }

  TEST_CASE("a string that looks like a mark is not taken for one") {
    const std::string text = R"(["\u0000long-string-1", ")" + kLong + "\"]";
    const auto result = Outline::of(text, kPlenty);
    const auto* const outline = std::get_if<Outline>(&result);
    REQUIRE(outline != nullptr);
    CHECK(outline->json() == R"(["\u0000long-string-0", "\u0000long-string-1"])");
    const std::string zero("\0long-string-0", 14);
    const std::string one("\0long-string-1", 14);
    CHECK(outline->text_of(zero) == one);
    CHECK(outline->text_of(one) == kLong);
    CHECK(outline->text_of("long-string-0") == "long-string-0");
    for (const std::string& other :
         {zero + "x", zero.substr(0, 13), std::string("\0long-string-2", 14)}) {
      CHECK(outline->text_of(other) == other);
    }
  }

  TEST_CASE("nothing is given when too much is left") {
    const std::string text = "[\"" + kLong + "\", 1, 2, 3]";
    const std::size_t left = json_of(text).size();
    CHECK(std::holds_alternative<Outline>(Outline::of(text, left)));
    CHECK(std::holds_alternative<Outline::TooLong>(Outline::of(text, left - 1)));
    CHECK(std::holds_alternative<Outline::TooLong>(Outline::of(std::string(100, '['), 99)));
  }
}

}  // namespace
