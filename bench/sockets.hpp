#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m2b/util/fd.hpp"

namespace m2b::bench {

struct Address {
  std::string host;
  std::uint16_t port = 0;

  [[nodiscard]] std::string text() const { return host + ":" + std::to_string(port); }
};

inline constexpr const char* kLoopback = "127.0.0.1";

/// Throws what errno says of a call of the system.
[[noreturn]] void throw_errno(const char* function);

/// Holds a free port of the loopback, which `port` tells; whoever connects is refused until it
/// listens. Throws std::system_error.
[[nodiscard]] Fd bind_on_loopback(std::uint16_t& port);

/// A listener on the loopback and a free port, which `port` tells. Throws std::system_error.
[[nodiscard]] Fd listen_on_loopback(std::uint16_t& port);

/// A port that was free a moment ago.
[[nodiscard]] std::uint16_t free_port();

/// Empty when nobody listens there.
[[nodiscard]] Fd connect_to(const Address& address);

/// False when the peer is gone.
[[nodiscard]] bool send_all(int socket, std::string_view bytes) noexcept;

}  // namespace m2b::bench
