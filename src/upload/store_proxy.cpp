#include "m2b/upload/store_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "m2b/util/handle.hpp"
#include "m2b/util/host.hpp"
#include "upload/connection_options.hpp"
#include "upload/curl.hpp"

namespace m2b {
namespace {

/// For documentation only (RFC 5737, section 3), so that no proxy has it.
constexpr const char* kNobody = "192.0.2.1";

/// Whom libcurl would have connected to.
struct Callee {
  std::string address;
  std::uint16_t port = 0;
};

/// Not by getenv(): where Paho is linked statically, ours does not see these variables
/// (src/mqtt/paho_environment.cpp).
std::optional<std::string> read_variable(std::string_view name) {
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view entry(*each);
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

/// CURLOPT_OPENSOCKETFUNCTION: notes the address and gives no socket.
curl_socket_t note_callee(void* callee, curlsocktype /*purpose*/,
                          struct curl_sockaddr* address) noexcept {
  std::array<char, INET6_ADDRSTRLEN> text{};
  auto& noted = *static_cast<Callee*>(callee);
  if (address->family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address->addr, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    noted.port = ntohs(v4.sin_port);
  } else if (address->family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, static_cast<const void*>(&address->addr),
                std::min<std::size_t>(sizeof v6, address->addrlen));
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    noted.port = ntohs(v6.sin6_port);
  }
  noted.address = text.data();
  return CURL_SOCKET_BAD;
}

/// The rules of no_proxy are libcurl's, and differ between its versions, so it is asked: it gets an
/// address for the store's name, and must say whom it would call.
bool calls_store_itself(StoreContext& context) {
  const StoreOptions& options = context.options;
  Callee callee;
  const curl::EasyHandle easy = curl::make_easy();
  const curl::Slist connect_to = set_connection_options(easy, context);
  curl::Slist resolved;
  if (!options.host.starts_with('[')) {  // an IPv6 address is none of its names
    curl::append(resolved, fmt::format("{}:{}:{}", options.host, options.port, kNobody).c_str());
    curl::set(easy, CURLOPT_RESOLVE, resolved.get());
  }
  curl::set(
      easy, CURLOPT_URL,
      fmt::format("{}://{}/", options.secure ? "https" : "http", store_authority(options)).c_str());
  curl::set(easy, CURLOPT_OPENSOCKETFUNCTION, &note_callee);
  curl::set(easy, CURLOPT_OPENSOCKETDATA, &callee);
  static_cast<void>(curl_easy_perform(easy.get()));  // it fails, without a socket
  return callee.port == options.port &&
         (callee.address == kNobody || callee.address == bare_host(options.host));
}

using Url = Handle<CURLU, &curl_url_cleanup>;
using UrlPart = Handle<char, &curl_free>;

std::string part_of(const Url& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, 0) != CURLUE_OK) return {};
  return UrlPart(text).get();
}

StoreProxy read_proxy(std::string_view variable, const std::string& value) {
  constexpr std::uint16_t kDefaultPort = 1080;  // of libcurl's proxies but those with https://
  constexpr std::uint16_t kDefaultTlsPort = 443;
  StoreProxy proxy{.variable = std::string(variable), .host = {}};
  const Url url(curl_url());
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, value.c_str(),
                                     CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) != CURLUE_OK) {
    return proxy;
  }
  const std::string port = part_of(url, CURLUPART_PORT);
  proxy.host = part_of(url, CURLUPART_HOST);
  proxy.port = part_of(url, CURLUPART_SCHEME) == "https" ? kDefaultTlsPort : kDefaultPort;
  if (!port.empty()) proxy.port = static_cast<std::uint16_t>(std::stoul(port));  // CURLU checked it
  proxy.has_login = !part_of(url, CURLUPART_USER).empty();
  return proxy;
}

}  // namespace

std::optional<StoreProxy> find_store_proxy(StoreContext& context) {
  constexpr std::array<std::string_view, 4> kForHttps{"https_proxy", "HTTPS_PROXY", "all_proxy",
                                                      "ALL_PROXY"};
  // HTTP_PROXY is none: to a CGI program it is a header of the request.
  constexpr std::array<std::string_view, 3> kForHttp{"http_proxy", "all_proxy", "ALL_PROXY"};
  const std::span<const std::string_view> variables =
      context.options.secure ? std::span<const std::string_view>(kForHttps)
                             : std::span<const std::string_view>(kForHttp);
  for (const std::string_view variable : variables) {
    const std::optional<std::string> value = read_variable(variable);
    if (!value) continue;
    if (value->empty() || calls_store_itself(context)) return std::nullopt;
    return read_proxy(variable, *value);
  }
  return std::nullopt;
}

}  // namespace m2b
