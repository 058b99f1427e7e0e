#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "decode/fault.hpp"
#include "decode/string_marks.hpp"

namespace m2b {

/// JSON as Python's json.loads() takes it: RFC 8259, and besides
/// - the numbers NaN, Infinity and -Infinity, integers of any length and exponents of any size;
/// - surrogates without their other half in strings, as escapes and as three bytes each
///   (append_utf8()).
/// simdjson refuses a whole document because of one of them, even in a field that nobody reads.
/// Nesting is limited as simdjson limits it: kMaxJsonDepth arrays and objects within one another, of
/// which an empty one does not count.
inline constexpr std::size_t kMaxJsonDepth = 1023;

/// The first place where the text is no such JSON; nothing where all of it is.
[[nodiscard]] std::optional<Fault> find_json_fault(std::string_view text);

/// The same document as RFC 8259 has it, for simdjson. A number that fits into no 64-bit integer is
/// another number, which describe_rewritten_number() knows; a string with a lone surrogate is a
/// mark.
struct StrictJson {
  std::string text;
};
/// More than `max_bytes` would be needed.
struct JsonTooLong {};

/// `marks` has the marks of an outline (make_outline()), or none where the text is whole.
[[nodiscard]] std::variant<StrictJson, JsonTooLong, Fault> to_strict_json(std::string_view text,
                                                                          std::size_t max_bytes,
                                                                          StringMarks& marks);

/// What a number of a StrictJson that is no 64-bit integer was before: "NaN", for a person.
[[nodiscard]] std::string_view describe_rewritten_number(double number) noexcept;

}  // namespace m2b
