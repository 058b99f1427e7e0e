#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/values.hpp"

namespace m2b::config {

struct Host {
  std::string text;         // IPv6 in brackets
  bool is_address = false;  // an IP address, not a name
};

struct Endpoint {
  Host host;
  std::optional<std::uint16_t> port;
};

/// A DNS name or an IP address, IPv6 with or without brackets. Names may hold `_`, as those of
/// containers do.
[[nodiscard]] std::optional<Host> parse_host(std::string_view text);

/// `host` or `host:port`, IPv6 in brackets.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);

/// BROKER_URL, with a remedy for those who write a URL after all.
[[nodiscard]] Parsed<std::string> parse_broker_host(std::string_view text);

/// BROKER_PORT, with a remedy for the variable that Kubernetes sets by itself.
[[nodiscard]] Parsed<std::uint16_t> parse_broker_port(std::string_view text);

/// MINIO_URL, with a remedy for those who write a URL after all.
[[nodiscard]] Parsed<Endpoint> parse_store_endpoint(std::string_view text);

/// `host:port`, both given.
[[nodiscard]] Parsed<Endpoint> parse_listen_address(std::string_view text);

}  // namespace m2b::config
