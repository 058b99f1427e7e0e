#include "m2b/util/typed_text.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "m2b/util/utf8.hpp"
#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

constexpr char32_t kByteOrderMark = 0xFEFF;

bool is_control(char32_t code) noexcept { return code < 0x20 || (code >= 0x7F && code < 0xA0); }

std::string name_of_control(char32_t code) {
  switch (code) {
    case 0x00:
      return "a NUL";
    case 0x09:
      return "a tab";
    case 0x0A:
      return "a line feed (LF)";
    case 0x0D:
      return "a carriage return (CR)";
    case 0x7F:
      return "a delete character (DEL)";
    default:
      return fmt::format("a control character (U+{:04X})", static_cast<std::uint32_t>(code));
  }
}

/// White_Space of the Unicode Character Database (PropList.txt), without control characters.
bool is_blank(char32_t code) noexcept {
  return code == 0x20 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

/// The quotes that word processors put in place of those of the keyboard.
bool is_typographic_quote(char32_t code) noexcept {
  return code == 0xAB || code == 0xBB || (code >= 0x2018 && code <= 0x201F) || code == 0x2039 ||
         code == 0x203A;
}

/// Of the character that is at an end of a text; nothing when it may be there.
std::optional<std::string> name_of_odd(std::string_view character) {
  if (character.empty()) return std::nullopt;
  const char32_t code = utf8_code_point(character);
  const auto number = static_cast<std::uint32_t>(code);
  if (code == ' ') return "a blank";
  if (code == kByteOrderMark) return "a byte order mark (U+FEFF)";
  if (is_blank(code)) return fmt::format("a special blank (U+{:04X})", number);
  if (is_typographic_quote(code)) return fmt::format("a typographic quote (U+{:04X})", number);
  if (unfit_length(character) > 0 && !is_control(code)) {
    return fmt::format("an invisible character (U+{:04X})", number);
  }
  return std::nullopt;
}

std::string_view first_character(std::string_view text) noexcept {
  return text.substr(0, utf8_character_length(text));
}

/// Empty where the text ends with bytes that are no UTF-8.
std::string_view last_character(std::string_view text) noexcept {
  constexpr std::size_t kMaxBytes = 4;
  for (std::size_t length = 1; length <= std::min(kMaxBytes, text.size()); ++length) {
    const std::string_view end = text.substr(text.size() - length);
    if (utf8_character_length(end) == length) return end;
  }
  return {};
}

}  // namespace

std::string control_character_in(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_character_length(rest);
    if (length != 0) {
      const char32_t code = utf8_code_point(rest.substr(0, length));
      if (is_control(code)) {
        const bool at_end = rest.size() == length;
        const bool at_start = rest.size() == text.size();
        return name_of_control(code) + (at_end     ? " at its end"
                                        : at_start ? " at its start"
                                                   : " inside");
      }
    }
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return {};
}

std::string odd_end_of(std::string_view text) {
  if (is_in_quotes(text)) return "quotes around it";
  if (const auto name = name_of_odd(first_character(text))) return *name + " at its start";
  if (const auto name = name_of_odd(last_character(text))) return *name + " at its end";
  return {};
}

bool is_in_quotes(std::string_view text) noexcept {
  return text.size() > 1 && text.front() == text.back() &&
         (text.front() == '"' || text.front() == '\'');
}

}  // namespace m2b
