#include "decode/lenient_json.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

namespace {

TEST_SUITE("lenient json") {
  using namespace m2b;
  using namespace std::string_literals;

  constexpr std::size_t kPlenty = 1 << 20;

  std::string fault_of(std::string_view text) {
    const auto fault = find_json_fault(text);
    return fault ? fmt::format("{}: {}", fault->offset, fault->what) : "none";
  }

  std::string rewritten(std::string_view text, StringMarks & marks) {
    const auto result = to_strict_json(text, kPlenty, marks);
    REQUIRE(std::holds_alternative<StrictJson>(result));
    return std::get<StrictJson>(result).text;
  }
  std::string rewritten(std::string_view text) {
    StringMarks marks;
    return rewritten(text, marks);
  }

  TEST_CASE("what simdjson takes stays as it is") {
    for (const std::string text :
         {"{}", "[]", " [ 1 , -2 ] ", "\"\"", R"({"a":{"b":["c\"d\\",null,true,false]}})", "0",
          "-0", "18446744073709551615", "-9223372036854775808", R"(["\ud83d\ude00", "\u0001"])"}) {
      CHECK(fault_of(text) == "none");
      CHECK(rewritten(text) == text);
    }
  }

  TEST_CASE("numbers that fit into no 64-bit integer are told apart behind it") {
    CHECK(rewritten(
              "[NaN, Infinity,-Infinity,1e999,18446744073709551616,-9223372036854775809,1.5]") ==
          "[0.1, 0.2,0.3,0.0,0.0,0.0,0.0]");
    CHECK(rewritten(R"({"NaN": "NaN", "n": NaN})") == R"({"NaN": "NaN", "n": 0.1})");
    CHECK(describe_rewritten_number(0.1) == "NaN");
    CHECK(describe_rewritten_number(0.2) == "Infinity");
    CHECK(describe_rewritten_number(0.3) == "-Infinity");
    CHECK(describe_rewritten_number(0.0) == "a number that is no 64-bit integer");
  }

  TEST_CASE("a string with a lone surrogate becomes a mark") {
    StringMarks marks;
    CHECK(rewritten(R"({"a": "x\ud800y\n", "b": "\ud83d\ude00"})", marks) ==
          R"({"a": "\u0000string-0", "b": "\ud83d\ude00"})");
    CHECK(marks.text_of("\0string-0"s) == "x\xED\xA0\x80y\n");
    StringMarks others;
    CHECK(rewritten("[\"\xED\xBF\xBF\"]", others) == R"(["\u0000string-0"])");
    CHECK(others.text_of("\0string-0"s) == "\xED\xBF\xBF");
  }

  TEST_CASE("a string that looks like a mark becomes one, where there were none") {
    const std::string_view text = R"(["\u0000string-0", "\udc00"])";
    StringMarks none;
    CHECK(rewritten(text, none) == R"(["\u0000string-0", "\u0000string-1"])");
    CHECK(none.text_of("\0string-0"s) == "\0string-0"s);
    CHECK(none.text_of("\0string-1"s) == "\xED\xB0\x80");
    StringMarks outline;
    outline.add(std::string("a long one"));
    CHECK(rewritten(text, outline) == R"(["\u0000string-0", "\u0000string-1"])");
    CHECK(outline.text_of("\0string-0"s) == "a long one");
  }

  TEST_CASE("nothing is given when it would be too long") {
    StringMarks marks;
    const std::string text = R"(["\ud800"])";
    const std::size_t bytes = R"(["\u0000string-0"])"s.size();
    CHECK(std::holds_alternative<StrictJson>(to_strict_json(text, bytes, marks)));
    StringMarks others;
    CHECK(std::holds_alternative<JsonTooLong>(to_strict_json(text, bytes - 1, others)));
    StringMarks more;
    CHECK(std::holds_alternative<JsonTooLong>(to_strict_json("[1, 2]", 5, more)));
  }

  TEST_CASE("a fault has its place and its words") {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "0: expected a value, found the end of the text"},
        {"  ", "2: expected a value, found the end of the text"},
        {"\xFF\xD8", "0: expected a value, found the byte 0xFF"},
        {"hello", "0: expected a value, found 'h'"},
        {"{'a': 1}", "1: expected a field name in double quotes or '}', found '''"},
        {R"({"a": 1,})", "8: expected a field name in double quotes, found '}'"},
        {R"({"a" 1})", "5: expected ':', found '1'"},
        {R"({"a": 01})", "7: expected ',' or '}', found '1'"},
        {R"({"a": nan})", "6: expected a value, found 'n'"},
        {R"({"a": 1)", "7: expected ',' or '}', found the end of the text"},
        {"[1 2]", "3: expected ',' or ']', found '2'"},
        {"[,]", "1: expected a value or ']', found ','"},
        {"[1,]", "3: expected a value, found ']'"},
        {"[1}", "2: expected ',' or ']', found '}'"},
        {"{} {}", "3: expected the end of the text, found '{'"},
        {"{}\0"s, "2: expected the end of the text, found the byte 0x00"},
        {R"(["abc)", "1: the string that begins here is never closed"},
        {R"(["abc\"])", "1: the string that begins here is never closed"},
        {"[\"a\nb\"]", "3: a line break (0x0A) in a string, where JSON needs \\n"},
        {"[\"a\rb\"]", "3: a line break (0x0D) in a string, where JSON needs \\r"},
        {"[\"a\tb\"]", "3: the control character 0x09 in a string"},
        {R"(["\x41"])", "2: an escape that JSON does not have in a string"},
        {R"(["\u12"])", "2: \\u without four hexadecimal digits in a string"},
        {"[\"caf\xE9\"]", "5: the byte 0xE9 is not UTF-8"},
    };
    for (const auto& [text, fault] : cases) {
      CHECK(fault_of(text) == fault);
      StringMarks marks;
      const auto result = to_strict_json(text, kPlenty, marks);
      REQUIRE(std::holds_alternative<Fault>(result));
      CHECK(fmt::format("{}: {}", std::get<Fault>(result).offset, std::get<Fault>(result).what) ==
            fault);
    }
  }

  TEST_CASE("numbers are those of the grammar") {
    for (const std::string number : {"0", "-1", "10", "1.5", "0.0e0", "1E+5", "1e-5", "-0.1"}) {
      CHECK(fault_of(number) == "none");
    }
    for (const std::string number : {"01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "--1",
                                     "1.5.5", "NaNN", "-NaN", "Infinit", "1_0"}) {
      CAPTURE(number);
      CHECK(fault_of(number) != "none");
    }
  }

  TEST_CASE("nesting has a limit, whatever the text's length") {
    const auto nested = [](std::size_t depth, std::string_view inner) {
      return std::string(depth, '[') + std::string(inner) + std::string(depth, ']');
    };
    CHECK(fault_of(nested(kMaxJsonDepth, "1")) == "none");
    CHECK(fault_of(nested(kMaxJsonDepth, "[ ]")) == "none");
    CHECK(fault_of(nested(kMaxJsonDepth, "{}")) == "none");
    CHECK(fault_of(nested(kMaxJsonDepth, "[1]")) ==
          "1023: more than 1023 arrays and objects within one another");
    CHECK(fault_of(std::string(1'000'000, '[')) ==
          "1023: more than 1023 arrays and objects within one another");
  }
}

}  // namespace
