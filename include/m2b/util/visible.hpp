#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace m2b {

/// Bytes at the start of the text that must not reach a terminal or a log as they are; 0 where the
/// character there may, and where there is none. That is
/// - a control character: C0, DEL, and C1, which a terminal takes for the beginning of a command as
///   well (U+009B);
/// - a format character (soft hyphen, zero width, bidirectional and such), which turns or hides the
///   text around it, so that a person reads something else than what stands there;
/// - a line or paragraph separator (U+2028, U+2029);
/// - a byte that is no UTF-8, which an old terminal may take for C1: one at a time.
[[nodiscard]] std::size_t unfit_length(std::string_view text) noexcept;

/// One character of UTF-8 as JSON escapes it: `\u009b`, beyond U+FFFF as a surrogate pair (RFC
/// 8259, section 7).
[[nodiscard]] std::string json_escape(std::string_view character);

/// The text with each unfit byte as `\x9b`, and a backslash before each of the characters in
/// `escaped`; everything else stays.
[[nodiscard]] std::string visible(std::string_view text, std::string_view escaped = {});

}  // namespace m2b
