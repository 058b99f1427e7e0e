#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "m2b/upload/store_context.hpp"

namespace m2b {

/// The proxy between here and the store.
struct StoreProxy {
  std::string variable;    // of the environment, that names it
  std::string host;        // IPv6 in brackets; empty where the variable names none
  std::uint16_t port = 0;  // likewise 0
  bool has_login = false;  // user name or password stand in the variable
};

/// Which proxy libcurl would use for the requests to this store: it reads http_proxy, https_proxy,
/// all_proxy and no_proxy from the environment. Nothing: none. Sends nothing; may block for the
/// look-up of the proxy's name, for connect_timeout at most.
[[nodiscard]] std::optional<StoreProxy> find_store_proxy(StoreContext& context);

}  // namespace m2b
