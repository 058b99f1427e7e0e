#include "config/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>

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
  std::string scheme;          // lower case; empty: none
  std::string_view host_port;  // what is between the scheme and the path
};

Url split_url(std::string_view text) {
  Url url;
  const auto scheme_end = text.find("://");
  if (scheme_end != std::string_view::npos) {
    url.scheme = ascii_lower(text.substr(0, scheme_end));
    text.remove_prefix(scheme_end + 3);
  }
  url.host_port = text.substr(0, text.find('/'));
  return url;
}

std::string to_text(const Endpoint& endpoint) {
  return endpoint.port ? endpoint.host.text + ":" + std::to_string(*endpoint.port)
                       : endpoint.host.text;
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

Parsed<std::string> parse_broker_host(std::string_view text) {
  if (auto host = parse_host(text)) {
    return std::move(host->text);
  }
  const Url url = split_url(text);
  const auto meant = parse_endpoint(url.host_port);
  if (!meant) {
    return Fault{};
  }
  std::string fault = "must be a DNS name or an IP address alone: write BROKER_URL=";
  fault += meant->host.text;
  if (meant->port) {
    fault += " and BROKER_PORT=" + std::to_string(*meant->port);
  }
  const bool plain = url.scheme.empty() || url.scheme == "tcp" || url.scheme == "mqtt";
  if (!plain) {
    fault += " (only plain MQTT over TCP is spoken)";
  }
  return Fault{std::move(fault)};
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

Parsed<Endpoint> parse_store_endpoint(std::string_view text) {
  auto endpoint = parse_endpoint(text);
  if (endpoint && endpoint->host.is_address && !endpoint->port) {
    return Fault{"needs its port with an IP address: write for example MINIO_URL=" +
                 endpoint->host.text + ":9000"};
  }
  if (endpoint) {
    return *std::move(endpoint);
  }
  if (const auto bare = parse_host(text); bare && bare->is_address) {
    return Fault{
        "must have an IPv6 address in brackets and its port: write for example MINIO_URL=" +
        bare->text + ":9000"};
  }
  const Url url = split_url(text);
  auto meant = parse_endpoint(url.host_port);
  if (!meant) {
    return Fault{};
  }
  if (meant->host.is_address && !meant->port) {
    meant->port = static_cast<std::uint16_t>(url.scheme == "http" ? 80 : 443);
  }
  std::string fault = "must be host or host:port without scheme and path: write MINIO_URL=";
  fault += to_text(*meant);
  if (url.scheme == "http" || url.scheme == "https") {
    fault += url.scheme == "http" ? " and MINIO_SECURE=False" : " and MINIO_SECURE=True";
  }
  return Fault{std::move(fault)};
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
