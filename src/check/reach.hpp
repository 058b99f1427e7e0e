#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check/lane.hpp"

namespace m2b::check {

/// Whom to reach, and the settings that say so.
struct Peer {
  std::string host;  // DNS name or IP address, IPv6 in brackets
  std::uint16_t port = 0;
  std::string_view host_setting;
  std::string_view port_setting;
};

/// A TCP address.
struct PeerAddress {
  std::string text;  // host:port, IPv6 in brackets
  sockaddr_storage address{};
  socklen_t length = 0;
};

/// No more than these are tried.
inline constexpr std::size_t kMostAddresses = 16;

/// Resolves the name as the bridge does, and stores its addresses, each once. Blocks for as long as
/// the system's resolver does.
[[nodiscard]] Finding look_up(const Peer& peer, std::vector<PeerAddress>& addresses);

/// Opens a TCP connection to each address, all at a time, and closes it. A warning where some do
/// not answer.
[[nodiscard]] Finding connect_to_each(const Peer& peer, const std::vector<PeerAddress>& addresses,
                                      std::chrono::milliseconds patience);

}  // namespace m2b::check
