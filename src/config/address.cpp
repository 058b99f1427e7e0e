#include "config/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "m2b/util/ascii.hpp"

namespace m2b::config {
namespace {

constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool is_name_character(char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         byte == '-' || byte == '_';
}

bool is_ip_address(int family, std::string_view text) {
  const std::string terminated(text);
  in6_addr address{};  // the larger of the two kinds
  return terminated.find('\0') == std::string::npos &&
         inet_pton(family, terminated.c_str(), &address) == 1;
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabelBytes && label.front() != '-' &&
         label.back() != '-' && std::ranges::all_of(label, is_name_character);
}

/// A name whose last label is a number would be taken for an IPv4 address, which it is not.
bool is_dns_name(std::string_view text) {
  if (text.ends_with('.')) {
    text.remove_suffix(1);
  }
  if (text.size() > kMaxNameBytes) {
    return false;
  }
  while (true) {
    const auto dot = text.find('.');
    if (!is_label(text.substr(0, dot))) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return !std::ranges::all_of(text, is_digit);
    }
    text.remove_prefix(dot + 1);
  }
}

struct Url {
  std::optional<std::string> scheme;  // in lower case
  std::string_view authority;  // what is between the scheme and the path (RFC 3986, section 3.2)
  std::string_view path;       // and query; empty where it says nothing
};

Url split_url(std::string_view text) {
  Url url;
  const auto scheme_end = text.find("://");
  if (scheme_end != std::string_view::npos) {
    url.scheme = ascii_lower(text.substr(0, scheme_end));
    text.remove_prefix(scheme_end + 3);
  }
  url.authority = text.substr(0, text.find_first_of("/?#"));
  url.path = text.substr(url.authority.size());
  if (url.path == "/") {
    url.path = {};
  }
  return url;
}

constexpr std::pair<std::string_view, MqttTransport> kTransports[] = {
    {"tcp", MqttTransport::tcp},
    {"mqtt", MqttTransport::tcp},
    {"tls", MqttTransport::tls},
    {"mqtts", MqttTransport::tls},
    {"ssl", MqttTransport::tls},
    {"ws", MqttTransport::websocket},
    {"wss", MqttTransport::secure_websocket}};

std::string to_text(const Endpoint& endpoint) {
  return endpoint.port ? endpoint.host.text + ":" + std::to_string(*endpoint.port)
                       : endpoint.host.text;
}

/// IPv6 may have no brackets where no port can follow it.
std::optional<Endpoint> parse_authority(const Url& url) {
  if (!url.scheme) {
    if (auto host = parse_host(url.authority)) {
      return Endpoint{*std::move(host), std::nullopt};
    }
  }
  return parse_endpoint(url.authority);
}

}  // namespace

std::optional<Host> parse_host(std::string_view text) {
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const auto inner = bracketed ? text.substr(1, text.size() - 2) : text;
  if (is_ip_address(AF_INET6, inner)) {
    return Host{"[" + std::string(inner) + "]", true};
  }
  if (is_ip_address(AF_INET, text)) {
    return Host{std::string(text), true};
  }
  if (is_dns_name(text)) {
    return Host{std::string(text), false};
  }
  return std::nullopt;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto bracket = text.rfind(']');
  const auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const auto host_text = text.substr(0, colon);
  auto host = parse_host(host_text);
  if (!host) {
    return std::nullopt;
  }
  Endpoint endpoint{*std::move(host), std::nullopt};
  if (colon != std::string_view::npos) {
    const auto port = parse_number(text.substr(colon + 1), 1, 65'535);
    if (!port) {
      return std::nullopt;
    }
    endpoint.port = static_cast<std::uint16_t>(*port);
  }
  return endpoint;
}

std::optional<MqttTransport> parse_transport(std::string_view text) {
  const std::string lower = ascii_lower(text);
  for (const auto& [name, transport] : kTransports) {
    if (lower == name) {
      return transport;
    }
  }
  return std::nullopt;
}

std::string_view name_of(MqttTransport transport) noexcept {
  switch (transport) {
    case MqttTransport::tcp:
      return "tcp";
    case MqttTransport::tls:
      return "tls";
    case MqttTransport::websocket:
      return "ws";
    case MqttTransport::secure_websocket:
      break;
  }
  return "wss";
}

bool is_websocket_path(std::string_view text) noexcept {
  return text.starts_with('/') && std::ranges::all_of(text, [](char byte) {
           return byte > ' ' && byte <= '~' && byte != '#';
         });
}

Parsed<BrokerAddress> parse_broker_address(std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return Fault{
        "must be without user name and password, because addresses are shown and logged: give them "
        "by MQTT_USERNAME and MQTT_PASSWORD_FILE (or MQTT_PASSWORD)"};
  }
  const Url url = split_url(text);
  const auto endpoint = parse_authority(url);
  const auto transport = url.scheme ? parse_transport(*url.scheme) : std::nullopt;
  if (!endpoint || (url.scheme && !transport)) {
    return Fault{};
  }
  BrokerAddress address{.host = endpoint->host.text, .port = endpoint->port};
  address.transport = transport;
  if (url.path.empty()) {
    return address;
  }
  if (!transport || !is_websocket(*transport)) {
    return Fault{
        "must be without a path, which only a WebSocket has (ws:// or wss://): topics are given by "
        "TOPIC"};
  }
  address.path = url.path.starts_with('/') ? url.path : "/" + std::string(url.path);
  if (!is_websocket_path(*address.path)) {
    return Fault{"must have a path of visible ASCII characters without #"};
  }
  return address;
}

Parsed<std::uint16_t> parse_broker_port(std::string_view text) {
  if (const auto port = parse_number(text, 1, 65'535)) {
    return static_cast<std::uint16_t>(*port);
  }
  if (text.starts_with("tcp://")) {
    return Fault{
        "must be a port number from 1 to 65535; Kubernetes sets this variable for a service named "
        "\"broker\": set BROKER_PORT yourself, or enableServiceLinks: false in the pod"};
  }
  return Fault{};
}

Parsed<StoreAddress> parse_store_address(std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return Fault{
        "must be without keys, because addresses are shown and logged: give them by "
        "MINIO_ACCESS_KEY_FILE and MINIO_SECRET_KEY_FILE (or without _FILE)"};
  }
  const Url url = split_url(text);
  const auto endpoint = parse_authority(url);
  if (!endpoint || (url.scheme && url.scheme != "http" && url.scheme != "https")) {
    return Fault{};
  }
  if (!url.scheme && endpoint->host.is_address && !endpoint->port) {
    return Fault{"must have its port with an IP address: write for example MINIO_URL=" +
                 endpoint->host.text + ":9000"};
  }
  if (!url.path.empty()) {
    const std::string scheme = url.scheme ? *url.scheme + "://" : "";
    return Fault{
        "must be without a path: write MINIO_URL=" + scheme + to_text(*endpoint) +
        "; the bucket is given by BUCKET_NAME, and a store below a path cannot be reached"};
  }
  StoreAddress address{*endpoint};
  if (url.scheme) {
    address.secure = url.scheme == "https";
  }
  return address;
}

Parsed<Endpoint> parse_listen_address(std::string_view text) {
  auto endpoint = parse_endpoint(text);
  if (endpoint && endpoint->port) {
    return *std::move(endpoint);
  }
  if (text.starts_with(':') && parse_number(text.substr(1), 1, 65'535)) {
    return Fault{"must name the address as well: write for example 0.0.0.0" + std::string(text) +
                 " for every interface"};
  }
  return Fault{};
}

}  // namespace m2b::config
