#include "m2b/util/visible.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/utf8.hpp"

namespace m2b {
namespace {

/// The format characters (general category Cf) that scripts of today have no need of within a line.
constexpr std::pair<char32_t, char32_t> kFormat[] = {
    {0x00AD, 0x00AD}, {0x061C, 0x061C}, {0x180E, 0x180E}, {0x200B, 0x200F},  {0x202A, 0x202E},
    {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};

bool is_unfit(char32_t code) noexcept {
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  const bool separates_lines = code == 0x2028 || code == 0x2029;
  return control || separates_lines || std::ranges::any_of(kFormat, [code](const auto& range) {
           return code >= range.first && code <= range.second;
         });
}

}  // namespace

std::size_t unfit_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const std::size_t length = utf8_character_length(text);
  if (length == 0) return 1;
  return is_unfit(utf8_code_point(text.substr(0, length))) ? length : 0;
}

std::string json_escape(std::string_view character) {
  const auto code = static_cast<std::uint32_t>(utf8_code_point(character));
  constexpr std::uint32_t kFirstOfPairs = 0x10000;
  if (code < kFirstOfPairs) {
    return fmt::format("\\u{:04x}", code);
  }
  const std::uint32_t rest = code - kFirstOfPairs;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10U), 0xDC00 + (rest & 0x3FFU));
}

std::string visible(std::string_view text, std::string_view escaped) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t unfit = unfit_length(text);
    for (const char byte : text.substr(0, unfit)) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint8_t>(byte));
    }
    const std::size_t fit = unfit == 0 ? utf8_character_length(text) : 0;
    if (fit == 1 && escaped.find(text.front()) != std::string_view::npos) out += '\\';
    out += text.substr(0, fit);
    text.remove_prefix(unfit + fit);
  }
  return out;
}

}  // namespace m2b
