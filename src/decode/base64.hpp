#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace m2b {

/// The bytes, or nothing where the text is not strict base64: alphabet of RFC 4648 section 4, '='
/// up to a multiple of four characters, no white space. No text gives no bytes.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

/// What decode_base64() dislikes about a text that it refused, for a person to read.
[[nodiscard]] std::string explain_bad_base64(std::string_view text);

}  // namespace m2b
