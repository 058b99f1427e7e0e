#include "upload/connection_options.hpp"

namespace m2b {

void set_connection_options(const curl::EasyHandle& easy, const StoreOptions& options) {
  constexpr long kKeepAliveIdleSeconds = 30;
  constexpr long kKeepAliveIntervalSeconds = 10;
  curl::set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  // One request at a time: HTTP/2 would only add a layer.
  curl::set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl::set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl::set(easy, CURLOPT_SSL_VERIFYHOST, 2L);

  // Without these a dead name server blocks the abort for tens of seconds.
  curl::set(easy, CURLOPT_NOSIGNAL, 1L);
  curl::set(easy, CURLOPT_QUICK_EXIT, 1L);
  curl::set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  curl::set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl::set(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  curl::set(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
}

}  // namespace m2b
