#include "status/access.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>

#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kNotFound = 404;
constexpr int kMisdirected = 421;
constexpr int kUnsupportedMediaType = 415;

/// In lower case. `127.example.net` is a name that may be anywhere, and 127.0.0.2 is an address.
bool is_loopback_name(const std::string& host) {
  in_addr address{};
  const bool is_address = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
  return host == "localhost" || host == "[::1]" ||
         (is_address && ntohl(address.s_addr) >> 24U == IN_LOOPBACKNET);
}

/// `host:port` or `[::1]:port` without the port.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const std::size_t bracket = host.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return has_port ? host.substr(0, colon) : host;
}

/// A browser names the site of the page that asks; other programs do not.
bool comes_from_elsewhere(const Caller& caller) {
  if (!caller.fetch_site.empty() && caller.fetch_site != "same-origin" &&
      caller.fetch_site != "none") {
    return true;
  }
  const std::string origin = ascii_lower(caller.origin);
  const std::string host = ascii_lower(caller.host);
  return !origin.empty() && origin != "http://" + host && origin != "https://" + host;
}

bool is_json(std::string_view content_type) {
  const std::string type = ascii_lower(content_type.substr(0, content_type.find(';')));
  return type == "application/json";
}

}  // namespace

bool is_status_token(std::string_view text) noexcept {
  constexpr std::size_t kLeast = 16;
  constexpr std::size_t kMost = 256;
  return text.size() >= kLeast && text.size() <= kMost &&
         std::ranges::all_of(text, [](char byte) { return byte > ' ' && byte <= '~'; });
}

bool is_loopback(const StatusOptions& options) {
  return is_loopback_name(ascii_lower(options.host));
}

bool shows_pictures(const StatusOptions& options) {
  return options.enabled && (options.thumbnails == Thumbnails::on ||
                             (options.thumbnails == Thumbnails::automatic && is_loopback(options)));
}

bool is_equal_in_constant_time(std::string_view given, std::string_view expected) noexcept {
  volatile unsigned char difference = given.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const char byte = i < given.size() ? given[i] : '\0';
    difference =
        static_cast<unsigned char>(difference | static_cast<unsigned char>(byte ^ expected[i]));
  }
  return difference == 0;
}

bool Access::knows_token(const Caller& caller) const noexcept {
  constexpr std::string_view kScheme = "Bearer ";
  return has_token() && caller.authorization.starts_with(kScheme) &&
         is_equal_in_constant_time(caller.authorization.substr(kScheme.size()), token_.reveal());
}

std::optional<Denial> Access::denial_of_page(const Caller& caller) const {
  if (is_loopback_ && !is_loopback_name(ascii_lower(without_port(caller.host)))) {
    return Denial{kMisdirected,
                  "ask for 127.0.0.1, localhost or [::1]: that is where this listens"};
  }
  return std::nullopt;
}

std::optional<Denial> Access::denial_of_content(const Caller& caller) const {
  if (const auto denial = denial_of_page(caller)) {
    return denial;
  }
  if (comes_from_elsewhere(caller)) {
    return Denial{kForbidden, "not for pages of another site"};
  }
  if (!shows_content()) {
    return Denial{kForbidden,
                  "beyond the loopback what messages hold is shown to those with the token alone: "
                  "set STATUS_TOKEN or STATUS_TOKEN_FILE"};
  }
  if (has_token() && !knows_token(caller)) {
    return Denial{kUnauthorized, "this needs the token: Authorization: Bearer <STATUS_TOKEN>"};
  }
  return std::nullopt;
}

std::optional<Denial> Access::denial_of_action(const Caller& caller) const {
  if (!has_token()) {
    return Denial{kNotFound, "there are no actions: set STATUS_TOKEN or STATUS_TOKEN_FILE"};
  }
  if (const auto denial = denial_of_content(caller)) {
    return denial;
  }
  if (!is_json(caller.content_type)) {
    return Denial{kUnsupportedMediaType, "must be application/json"};
  }
  return std::nullopt;
}

}  // namespace m2b
