#include "upload/connection_options.hpp"

#include <cstdint>

#include <fmt/format.h>

namespace m2b {
namespace {

/// libcurl's CURLOPT_SSL_CTX_FUNCTION, called for each new connection: with what is read once, not
/// with files that each connection would read and keep for itself.
CURLcode equip(CURL* /*easy*/, void* ssl_context, void* material) noexcept {
  const bool equipped =
      static_cast<TlsMaterial*>(material)->equip(static_cast<ssl_ctx_st*>(ssl_context));
  return equipped ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

}  // namespace

std::string store_authority(const StoreOptions& options) {
  const std::uint16_t default_port = options.secure ? 443 : 80;
  const std::string& name =
      options.tls.server_name.empty() ? options.host : options.tls.server_name;
  return options.port == default_port ? name : fmt::format("{}:{}", name, options.port);
}

curl::Slist set_connection_options(const curl::EasyHandle& easy, StoreContext& context) {
  const StoreOptions& options = context.options;
  constexpr long kKeepAliveIdleSeconds = 30;
  constexpr long kKeepAliveIntervalSeconds = 10;
  curl::set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  // One request at a time: HTTP/2 would only add a layer.
  curl::set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl::set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl::set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (options.secure) {
    curl::set(easy, CURLOPT_CAINFO, nullptr);
    curl::set(easy, CURLOPT_CAPATH, nullptr);
    // Or it would go on with the first authorities for a day, whatever equip() gives it.
    curl::set(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    curl::set(easy, CURLOPT_SSL_CTX_FUNCTION, &equip);
    curl::set(easy, CURLOPT_SSL_CTX_DATA, &context.tls);
  }

  // Without these a dead name server blocks the abort for tens of seconds.
  curl::set(easy, CURLOPT_NOSIGNAL, 1L);
  curl::set(easy, CURLOPT_QUICK_EXIT, 1L);
  curl::set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  curl::set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl::set(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  curl::set(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveIntervalSeconds);

  curl::Slist connect_to;
  if (!options.tls.server_name.empty()) {
    curl::append(connect_to, fmt::format("::{}:{}", options.host, options.port).c_str());
    curl::set(easy, CURLOPT_CONNECT_TO, connect_to.get());
  }
  return connect_to;
}

}  // namespace m2b
