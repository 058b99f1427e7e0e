#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace m2b {

/// One character of a JSON string, as an escape (RFC 8259, section 7) or as itself. Surrogates
/// without their other half are characters, as escapes and as append_utf8() writes them: Python's
/// json takes them.
struct JsonCharacter {
  std::size_t bytes;  // 0: nothing that may stand in a string
  char32_t code;
};

/// The first character of the text, which is not empty. A quote is a character like others.
[[nodiscard]] JsonCharacter first_json_character(std::string_view text) noexcept;

/// How many bytes at the start are printable ASCII without quotes and backslashes.
[[nodiscard]] std::size_t plain_json_length(std::string_view text) noexcept;

/// The text of a string, of which `content` stands between the quotes; nothing where it has
/// something that may not stand there. Lone surrogates become three bytes (append_utf8()).
[[nodiscard]] std::optional<std::string> unescape_json(std::string_view content);

}  // namespace m2b
