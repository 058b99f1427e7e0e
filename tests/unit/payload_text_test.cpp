#include "decode/payload_text.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

namespace {

TEST_SUITE("payload text") {
  using namespace m2b;
  using namespace std::string_literals;
  using namespace std::string_view_literals;

  constexpr TextEncoding kWide[] = {TextEncoding::utf16_le, TextEncoding::utf16_be,
                                    TextEncoding::utf32_le, TextEncoding::utf32_be};

  std::string encoded(const std::vector<char32_t>& units, TextEncoding encoding) {
    const bool is_wide = encoding == TextEncoding::utf32_le || encoding == TextEncoding::utf32_be;
    const bool is_big = encoding == TextEncoding::utf16_be || encoding == TextEncoding::utf32_be;
    const unsigned size = is_wide ? 4 : 2;
    std::string bytes;
    for (const char32_t unit : units) {
      for (unsigned at = 0; at < size; ++at) {
        const unsigned shift = (is_big ? size - 1 - at : at) * 8;
        bytes += static_cast<char>(unit >> shift & 0xFFU);
      }
    }
    return bytes;
  }

  std::variant<PayloadText, Fault> read(std::string_view payload) {
    return PayloadText::of(payload, [](std::string_view) {});
  }
  std::string text_of(std::string_view payload) {
    const auto result = read(payload);
    const auto* const fault = std::get_if<Fault>(&result);
    return fault != nullptr ? fmt::format("{}: {}", fault->offset, fault->what)
                            : std::string(std::get<PayloadText>(result).text());
  }

  TEST_CASE("the encoding is told as Python's json.detect_encoding tells it") {
    const std::vector<std::pair<std::string_view, TextEncoding>> cases{
        {""sv, TextEncoding::utf8},
        {"\0"sv, TextEncoding::utf8},
        {"{}"sv, TextEncoding::utf8},
        {"{}\0"sv, TextEncoding::utf8},
        {"{}\0\0"sv, TextEncoding::utf8},
        {"1\0"sv, TextEncoding::utf16_le},
        {"\0001"sv, TextEncoding::utf16_be},
        {"1\0\0"sv, TextEncoding::utf8},
        {"{\0}\0"sv, TextEncoding::utf16_le},
        {"{\0\0\x4e"sv, TextEncoding::utf16_le},
        {"\0{\0}"sv, TextEncoding::utf16_be},
        {"1\0\0\0"sv, TextEncoding::utf32_le},
        {"\0\0\0001"sv, TextEncoding::utf32_be},
        {"\xFF\xFE"sv, TextEncoding::utf16_le},
        {"\xFE\xFF"sv, TextEncoding::utf16_be},
        {"\xFF\xFE\0\0"sv, TextEncoding::utf32_le},
        {"\0\0\xFE\xFF"sv, TextEncoding::utf32_be},
        {"\xEF\xBB\xBF{"sv, TextEncoding::utf8},
        {"\xEF\xBB\0\0"sv, TextEncoding::utf8}};
    for (const auto& [payload, encoding] : cases) {
      CAPTURE(payload);
      CHECK(detect_encoding(payload) == encoding);
    }
  }

  TEST_CASE("UTF-8 is a view into the payload, without mark and trailing NULs") {
    const std::string payload = "\xEF\xBB\xBF{\"a\0b\"}\0\0"s;
    const auto result = read(payload);
    const std::string_view text = std::get<PayloadText>(result).text();
    CHECK(text == "{\"a\0b\"}"sv);
    CHECK(text.data() == payload.data() + 3);
    CHECK(text_of("\0\0"sv).empty());
    CHECK(text_of("").empty());
    CHECK(text_of("\xFF no UTF-8") == "\xFF no UTF-8");
  }

  TEST_CASE("UTF-16 and UTF-32 are converted, with and without a mark") {
    const std::string expected = "{\"é\": \"€\U0001f600\U0010ffff\"}";
    const std::vector<char32_t> points{'{', '"',  U'é',          '"',           ':', ' ',
                                       '"', U'€', U'\U0001f600', U'\U0010ffff', '"', '}'};
    const std::vector<char32_t> units{'{',  '"',    U'é',   '"',    ':',    ' ', '"',
                                      U'€', 0xD83D, 0xDE00, 0xDBFF, 0xDFFF, '"', '}'};
    for (const TextEncoding encoding : kWide) {
      const bool is_utf16 =
          encoding == TextEncoding::utf16_le || encoding == TextEncoding::utf16_be;
      const std::string payload = encoded(is_utf16 ? units : points, encoding);
      CHECK(text_of(payload) == expected);
      CHECK(text_of(encoded({0xFEFF}, encoding) + payload) == expected);
      CHECK(text_of(payload + encoded({0, 0}, encoding)) == expected);
      CHECK(text_of(encoded({0xFEFF, 0xFEFF}, encoding) + payload) == "\xEF\xBB\xBF" + expected);
      const auto result = read(payload);
      const std::string_view text = std::get<PayloadText>(result).text();
      CHECK(std::string_view(text.data() + text.size(), PayloadText::kPaddingBytes) ==
            std::string(PayloadText::kPaddingBytes, '\0'));
    }
  }

  TEST_CASE("a lone surrogate is three bytes, a pair of UTF-32 is two lone ones") {
    for (const TextEncoding encoding : kWide) {
      CHECK(text_of(encoded({'"', 0xD83D, '"'}, encoding)) == "\"\xED\xA0\xBD\"");
      CHECK(text_of(encoded({'"', 0xDE00, 0xD83D}, encoding)) == "\"\xED\xB8\x80\xED\xA0\xBD");
    }
    CHECK(text_of(encoded({'"', 0xD83D, 0xDE00}, TextEncoding::utf32_le)) ==
          "\"\xED\xA0\xBD\xED\xB8\x80");
    CHECK(text_of(encoded({'"', 0xD83D, 0xD83D, 0xDE00}, TextEncoding::utf16_be)) ==
          "\"\xED\xA0\xBD\U0001f600");
  }

  TEST_CASE("what is no character is refused with its place") {
    CHECK(text_of("\xFF\xFE{\0}"sv) == "4: UTF-16 (little endian): the last character is cut off");
    CHECK(text_of("{\0\0\0}\0"sv) == "4: UTF-32 (little endian): the last character is cut off");
    CHECK(text_of("\0\0\xFE\xFF\0\0\0{\0\x11\0\0"sv) ==
          "8: UTF-32 (big endian): 0x110000 is no character");
  }

  TEST_CASE("the place of a byte in the payload is known") {
    const auto place = [](std::string_view payload, std::size_t offset) {
      return std::get<PayloadText>(read(payload)).payload_offset(offset);
    };
    CHECK(place("{}", 1) == 1);
    CHECK(place("\xEF\xBB\xBF{}", 1) == 4);
    const std::vector<char32_t> units{0xFEFF, 'a', U'é', U'€', 0xD83D, 0xDE00, 'b'};
    const std::string utf16 = encoded(units, TextEncoding::utf16_le);
    const std::vector<std::pair<std::size_t, std::size_t>> places{{0, 2}, {1, 4},   {3, 6},
                                                                  {6, 8}, {10, 12}, {11, 14}};
    for (const auto& [offset, expected] : places) CHECK(place(utf16, offset) == expected);
    const std::string utf32 = encoded({0xFEFF, 'a', U'\U0001f600', 'b'}, TextEncoding::utf32_be);
    CHECK(place(utf32, 1) == 8);
    CHECK(place(utf32, 5) == 12);
  }

  TEST_CASE("what has been converted is given up in order, and nothing of a refused payload") {
    const std::string payload =
        "\xFF\xFE" + encoded(std::vector<char32_t>(2'000'000, 'a'), TextEncoding::utf16_le);
    std::vector<std::string_view> parts;
    const auto keep = [&](std::string_view part) { parts.push_back(part); };
    const auto result = PayloadText::of(payload, keep);
    CHECK(std::get<PayloadText>(result).text().size() == 2'000'000);
    REQUIRE(parts.size() > 2);
    std::size_t at = 2;
    for (const std::string_view part : parts) {
      CHECK(part.data() == payload.data() + at);
      at += part.size();
    }
    CHECK(at == payload.size());

    parts.clear();
    CHECK(std::holds_alternative<Fault>(PayloadText::of(payload + "x", keep)));
    CHECK(parts.empty());
  }
}

}  // namespace
