#pragma once

#include <string>

#include "config/values.hpp"

namespace m2b::config {

/// What a file made for one secret holds, without the line ends after it.
[[nodiscard]] Parsed<std::string> read_secret_file(const std::string& path);

}  // namespace m2b::config
