#pragma once

#include <string>
#include <string_view>

/// Characters that get into a text by the way it was copied or stored, and that nobody sees there.
namespace m2b {

/// The first control character (C0, DEL, and the C1 controls of UTF-8) and where it is, after
/// "has": "a carriage return (CR) at its end". Empty: there is none. Shows nothing else of the
/// text.
[[nodiscard]] std::string control_character_in(std::string_view text);

/// What stands around the text, or at its start or end, and is hardly meant, after "has": quotes
/// around the whole, a blank (the white space of Unicode, except control characters), an invisible
/// format character or a typographic quote. Empty: there is none. Shows nothing else of the text.
[[nodiscard]] std::string odd_end_of(std::string_view text);

/// Whether it is in quotes, single or double.
[[nodiscard]] bool is_in_quotes(std::string_view text) noexcept;

}  // namespace m2b
