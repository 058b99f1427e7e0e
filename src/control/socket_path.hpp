#pragma once

#include <cstddef>
#include <filesystem>

namespace m2b {

/// How much of a record is in one answer at most; the client asks again for what follows.
inline constexpr std::size_t kRawBytesAtATime = std::size_t{1} << 20;

[[nodiscard]] inline std::filesystem::path control_socket(const std::filesystem::path& directory) {
  return directory / "control";
}

}  // namespace m2b
