#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace m2b {

/// Bytes of the character at the start of the text, 1 to 4; 0 where the text is empty or does not
/// start with a well-formed one (The Unicode Standard, table 3-7: no overlong forms, no surrogates,
/// nothing above U+10FFFF).
[[nodiscard]] std::size_t utf8_character_length(std::string_view text) noexcept;

/// Of one character as utf8_character_length() measures it.
[[nodiscard]] char32_t utf8_code_point(std::string_view character) noexcept;

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Where the text stops being well-formed UTF-8: its size where all of it is.
[[nodiscard]] std::size_t utf8_prefix_length(std::string_view text) noexcept;

[[nodiscard]] constexpr bool is_high_surrogate(char32_t code) noexcept {
  return code >= 0xD800 && code <= 0xDBFF;
}
[[nodiscard]] constexpr bool is_low_surrogate(char32_t code) noexcept {
  return code >= 0xDC00 && code <= 0xDFFF;
}
[[nodiscard]] constexpr bool is_surrogate(char32_t code) noexcept {
  return is_high_surrogate(code) || is_low_surrogate(code);
}

/// The code point of a pair (The Unicode Standard, section 3.9, D91).
[[nodiscard]] constexpr char32_t join_surrogates(char32_t high, char32_t low) noexcept {
  return 0x10000 + ((high - 0xD800) << 10U) + (low - 0xDC00);
}

/// The surrogate at the start of the text, written as append_utf8() writes one; 0 where there is
/// none.
[[nodiscard]] char32_t encoded_surrogate(std::string_view text) noexcept;

/// Appends a code point, at most U+10FFFF. A surrogate becomes three bytes, which are not UTF-8:
/// they serve to keep and to name it.
void append_utf8(std::string& text, char32_t code);

/// Bytes that append_utf8() takes.
[[nodiscard]] constexpr std::size_t utf8_length(char32_t code) noexcept {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

}  // namespace m2b
