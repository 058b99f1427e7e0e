#pragma once

#include <cstddef>
#include <string_view>
#include <variant>

namespace m2b {

/// More of the request has to come before its length is known.
struct LengthUnknown {};
/// Its length is not told beforehand, or told in two ways (RFC 9112, section 6): not taken.
struct LengthRefused {};
using RequestLength = std::variant<std::size_t, LengthUnknown, LengthRefused>;

/// How many bytes a request has, head and body, by what has arrived of it. Pure.
[[nodiscard]] RequestLength length_of_request(std::string_view received);

}  // namespace m2b
