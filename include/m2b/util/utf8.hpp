#pragma once

#include <cstddef>
#include <string_view>

namespace m2b {

/// Bytes of the character at the start of the text, 1 to 4; 0 where the text is empty or does not
/// start with a well-formed one (The Unicode Standard, table 3-7: no overlong forms, no surrogates,
/// nothing above U+10FFFF).
[[nodiscard]] std::size_t utf8_character_length(std::string_view text) noexcept;

/// Of one character as utf8_character_length() measures it.
[[nodiscard]] char32_t utf8_code_point(std::string_view character) noexcept;

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace m2b
