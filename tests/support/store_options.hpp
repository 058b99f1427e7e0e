#pragma once

#include <cstdint>

#include "m2b/upload/options.hpp"

namespace m2b::test {

/// Of a store that listens on this port here.
[[nodiscard]] inline StoreOptions store_options(std::uint16_t port) {
  StoreOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.secure = false;
  options.credentials.access_key = "key-id";
  options.credentials.secret_key = Secret("secret");
  options.bucket = "pictures";
  return options;
}

}  // namespace m2b::test
