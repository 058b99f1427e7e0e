#pragma once

#include <string>
#include <string_view>

namespace m2b {

/// A copy of the JSON text in which each number that fits into no 64-bit integer is replaced by
/// `0.0` and blanks; the length stays. simdjson refuses a whole document because of one integer
/// over 64 bits or one 1e999, even in a field that nobody reads, though both are good JSON. Numbers
/// that break JSON's grammar stay, and are refused as before.
[[nodiscard]] std::string replace_wide_numbers(std::string_view json);

}  // namespace m2b
