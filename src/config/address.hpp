#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/values.hpp"
#include "m2b/mqtt/options.hpp"

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

/// What BROKER_URL says: a host, and with a URL more.
struct BrokerAddress {
  std::string host;  // IPv6 in brackets
  std::optional<std::uint16_t> port = {};
  std::optional<MqttTransport> transport = {};  // of the scheme
  /// Of a WebSocket, with what follows a `?`. `/` alone is no path (RFC 3986, section 6.2.3).
  std::optional<std::string> path = {};
};

/// `host`, `host:port` or `scheme://host:port/path`. Schemes are those of parse_transport(), and a
/// path is for a WebSocket alone. A user name or password in it is refused: addresses are shown.
[[nodiscard]] Parsed<BrokerAddress> parse_broker_address(std::string_view text);

/// By our names (tcp, tls, ws, wss) and by the schemes of the URLs that mean the same (mqtt; mqtts,
/// ssl), in any case.
[[nodiscard]] std::optional<MqttTransport> parse_transport(std::string_view text);

/// As MQTT_TRANSPORT names it.
[[nodiscard]] std::string_view name_of(MqttTransport transport) noexcept;

/// A path, and a query, that can stand in the first line of an HTTP request.
[[nodiscard]] bool is_websocket_path(std::string_view text) noexcept;

/// BROKER_PORT, with a remedy for the variable that Kubernetes sets by itself.
[[nodiscard]] Parsed<std::uint16_t> parse_broker_port(std::string_view text);

/// What MINIO_URL says: a host, and with a URL more.
struct StoreAddress {
  Endpoint endpoint;
  std::optional<bool> secure = {};  // of the scheme
};

/// `host`, `host:port`, or one of them behind `http://` or `https://`. Paths are refused, and so
/// are keys: addresses are shown.
[[nodiscard]] Parsed<StoreAddress> parse_store_address(std::string_view text);

/// `host:port`, both given.
[[nodiscard]] Parsed<Endpoint> parse_listen_address(std::string_view text);

}  // namespace m2b::config
