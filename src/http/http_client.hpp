#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>

#include "http/http_message.hpp"

namespace m2b {

struct TcpAddress {
  std::string host;
  std::uint16_t port = 0;
};
/// A Unix socket, in a folder of any length. Only root and this process's own user are believed
/// behind it.
using HttpPeer = std::variant<TcpAddress, std::filesystem::path>;

/// What a server may take. Time is for all of it, from the connection to the last byte.
struct HttpClientLimits {
  std::chrono::milliseconds time;
  std::size_t max_body_bytes;
};

/// Why there is no answer.
struct HttpFailure {
  std::string cause;
};

/// Sends a request over a connection of its own and waits for the answer; for any thread. Takes no
/// answer that is encoded or chunked, or larger or later than the limits say. `Host` and
/// `Content-Length` are added where the request has none. For a host that is a name, the resolver
/// has its own time.
[[nodiscard]] std::variant<HttpResponse, HttpFailure> ask_http(const HttpPeer& peer,
                                                               const HttpRequest& request,
                                                               const HttpClientLimits& limits);

}  // namespace m2b
