#pragma once

#include <string>
#include <utility>

namespace m2b {

/// Name and value.
using HttpHeader = std::pair<std::string, std::string>;

}  // namespace m2b
