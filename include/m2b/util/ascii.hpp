#pragma once

#include <string>
#include <string_view>

/// Text of protocols and settings, whose letters are those of ASCII whatever the locale.
namespace m2b {

/// In lower case; other bytes are kept.
[[nodiscard]] std::string ascii_lower(std::string_view text);

/// Whether a text is a word, which is given in lower case, but for the case of its letters.
[[nodiscard]] bool is_ascii_word(std::string_view text, std::string_view lower_word) noexcept;

/// Without the blanks around it.
[[nodiscard]] std::string_view trimmed(std::string_view text,
                                       std::string_view blanks = " \t") noexcept;

}  // namespace m2b
