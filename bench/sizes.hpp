#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace m2b::bench {

/// `100KiB`, `1MiB` or a number of bytes; throws std::invalid_argument with the remedy. Within what
/// Picture can make.
[[nodiscard]] std::size_t parse_size(const std::string& text);

/// The same without a limit above, for what is no picture.
[[nodiscard]] std::uint64_t parse_bytes(const std::string& text, std::uint64_t min);

/// The shortest exact text that both take.
[[nodiscard]] std::string size_text(std::size_t bytes);

}  // namespace m2b::bench
