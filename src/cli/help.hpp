#pragma once

#include <string>

namespace m2b::cli {

/// What --help prints, at most 100 columns wide.
[[nodiscard]] std::string help_text();

}  // namespace m2b::cli
