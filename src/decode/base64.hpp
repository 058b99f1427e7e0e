#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace m2b {

/// The bytes, or nothing where the text is not strict base64: alphabet of RFC 4648 section 4, '='
/// up to a multiple of four characters, no white space. No text gives no bytes.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

/// The same of a large text, block by block: `on_decoded` is called with each part of the text that
/// is not needed any more. Where the text is refused it gives what explain_bad_base64() gives.
struct BadBase64 {
  std::string explanation;
};
[[nodiscard]] std::variant<std::string, BadBase64> decode_large_base64(
    std::string_view text, const std::function<void(std::string_view)>& on_decoded);

/// What decode_base64() dislikes about a text that it refused, for a person to read. Up to `offset`
/// it is known to be good.
[[nodiscard]] std::string explain_bad_base64(std::string_view text, std::size_t offset = 0);

}  // namespace m2b
