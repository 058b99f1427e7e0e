#pragma once

#include <filesystem>

namespace m2b {

[[nodiscard]] inline std::filesystem::path control_socket(const std::filesystem::path& directory) {
  return directory / "control";
}

}  // namespace m2b
