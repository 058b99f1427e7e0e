#include "control/documents.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

TEST_SUITE("documents") {
  using namespace m2b;
  using documents::Json;
  using documents::line_of;

  TEST_CASE("a line is JSON that a person can read and no terminal obeys") {
    CHECK(line_of(Json{{"topic", "größe/日本"}}) == R"({"topic":"größe/日本"})");
    CHECK(line_of(Json{{"t", "\x1b[2J\x7f\u009b\u202e"}}) ==
          R"({"t":"\u001b[2J\u007f\u009b\u202e"})");
    CHECK(line_of(Json{{"t", "\U000e0041"}}) == R"({"t":"\udb40\udc41"})");
  }

  TEST_CASE("what is escaped reads as it was") {
    const std::string topic = "a\x7f\u0085\u2028\U000e0041\u200d\\\"";
    CHECK(Json::parse(line_of(Json{{"t", topic}})).at("t") == topic);
  }

  TEST_CASE("what is no UTF-8 is replaced") {
    CHECK(line_of(Json{{"t", "a\xff\x9b"}}) == "{\"t\":\"a\ufffd\ufffd\"}");
  }
}

}  // namespace
