#pragma once

#include <string>

namespace m2b {

/// A host as most calls want it: without the brackets that the configuration keeps around IPv6.
[[nodiscard]] inline std::string bare_host(const std::string& host) {
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

}  // namespace m2b
