#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "decode/string_marks.hpp"

namespace m2b {

/// A large JSON text without the content of its long strings, each of which is checked, kept in
/// `marks` and replaced by its mark; nothing when more than `max_bytes` are left. simdjson takes up
/// to 15 bytes for each byte of its text; of an image's message nearly all is one string, which
/// needs no parser (decision 0027). The outline is JSON exactly if the whole text is. `json` is
/// borrowed by `marks`, which are empty before.
[[nodiscard]] std::optional<std::string> make_outline(std::string_view json, std::size_t max_bytes,
                                                      StringMarks& marks);

}  // namespace m2b
