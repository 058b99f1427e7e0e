#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace m2b {

/// Name and value.
using HttpHeader = std::pair<std::string, std::string>;

/// The value of an ETag header without its quotes; empty where it is no strong entity tag (RFC
/// 9110, section 8.8.3) or one without a character.
[[nodiscard]] std::string_view strong_etag(std::string_view value) noexcept;

}  // namespace m2b
