#include "m2b/util/log.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace {

TEST_SUITE("log") {
  using m2b::log::format_json;
  using m2b::log::format_line;
  using m2b::log::Level;

  TEST_CASE("a line has level, area, sentence and facts") {
    CHECK(format_line(Level::warning, "mqtt", "connection lost",
                      {{"broker", "b:1883"}, {"code", 5}, {"share", 0.5}, {"ok", true}}) ==
          "WARNING  mqtt: connection lost broker=b:1883 code=5 share=0.5 ok=true");
  }

  TEST_CASE("text with blanks, quotes or nothing is quoted") {
    CHECK(format_line(Level::info, "a", "s", {{"k", "two words"}}) ==
          R"(INFO     a: s k="two words")");
    CHECK(format_line(Level::info, "a", "s", {{"k", R"(a"b\c)"}}) ==
          R"(INFO     a: s k="a\"b\\c")");
    CHECK(format_line(Level::info, "a", "s", {{"k", ""}}) == R"(INFO     a: s k="")");
    CHECK(format_line(Level::info, "a", "s", {{"k", "a=b"}}) == R"(INFO     a: s k="a=b")");
  }

  TEST_CASE("control characters cannot forge a line") {
    const std::string topic("x\n2026 ERROR\0", 13);
    const std::string line = format_line(Level::info, "a", "s", {{"topic", topic}});
    CHECK(line == R"(INFO     a: s topic="x\x0a2026 ERROR\x00")");
  }

  TEST_CASE("as JSON the facts keep their types") {
    CHECK(format_json(Level::warning, "mqtt", "connection lost",
                      {{"broker", "b:1883"},
                       {"code", -5},
                       {"id", std::uint64_t{18446744073709551615U}},
                       {"share", 0.5},
                       {"ok", true}}) ==
          R"("level":"WARNING","area":"mqtt","message":"connection lost","broker":"b:1883",)"
          R"("code":-5,"id":18446744073709551615,"share":0.5,"ok":true)");
    CHECK(format_json(Level::info, "a", "s", {{"k", std::numeric_limits<double>::infinity()}}) ==
          R"("level":"INFO","area":"a","message":"s","k":null)");
  }

  TEST_CASE("as JSON text is escaped and stays UTF-8 whatever it was") {
    const std::string nasty("\"\\\n\0\x7F\xC3\xBC\xFF\xC3", 9);
    CHECK(format_json(Level::info, "a", "s", {{"k", nasty}}) ==
          R"("level":"INFO","area":"a","message":"s","k":"\"\\\u000a\u0000\u007f)"
          "\xC3\xBC\xEF\xBF\xBD\xEF\xBF\xBD\"");
    // What a terminal takes for a command, or turns the text around, in a form that it does not.
    CHECK(format_json(Level::info, "a", "s", {{"k", "\u009b\u202e"}}) ==
          "\"level\":\"INFO\",\"area\":\"a\",\"message\":\"s\",\"k\":\"\\u009b\\u202e\"");
  }

  TEST_CASE("levels below the chosen one are not written") {
    m2b::log::set_level(Level::error);
    CHECK_FALSE(m2b::log::enabled(Level::warning));
    CHECK(m2b::log::enabled(Level::error));
    m2b::log::set_level(Level::critical);
    CHECK(m2b::log::enabled(Level::critical));
    CHECK_FALSE(m2b::log::enabled(Level::error));
  }
}

}  // namespace
