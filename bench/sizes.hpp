#pragma once

#include <cstddef>
#include <string>

namespace m2b::bench {

/// `100KiB`, `1MiB` or a number of bytes; throws std::invalid_argument with the remedy. Within what
/// Picture can make.
[[nodiscard]] std::size_t parse_size(const std::string& text);

/// The shortest exact text that parse_size() takes.
[[nodiscard]] std::string size_text(std::size_t bytes);

}  // namespace m2b::bench
