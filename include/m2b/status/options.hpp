#pragma once

#include <cstdint>
#include <string>

namespace m2b {

/// Where the status listener listens.
struct StatusOptions {
  bool enabled = true;
  std::string host = "127.0.0.1";  // IPv6 in brackets
  std::uint16_t port = 9797;
};

}  // namespace m2b
