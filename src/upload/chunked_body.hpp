#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace m2b {

/// The text of a chunked body without chunk extensions and trailers (RFC 9112, section 7.1).
/// Nothing where it is not whole, not well-formed, or where something follows it. `raw` is bounded
/// by whoever received it.
[[nodiscard]] std::optional<std::string> decode_chunked(std::string_view raw);

}  // namespace m2b
