#pragma once

#include <cstddef>
#include <filesystem>
#include <stop_token>

namespace m2b::bench {

/// The limit of receiving: writes the messages of pictures of that size into a file of `folder`
/// that has its blocks, `fdatasync` after each. Returns the seconds.
[[nodiscard]] double bare_writes(const std::filesystem::path& folder, std::size_t picture_bytes,
                                 std::size_t messages, const std::stop_token& stop);

}  // namespace m2b::bench
