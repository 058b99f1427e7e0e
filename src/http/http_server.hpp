#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>

#include "http/http_message.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {

/// What the clients of a server may take, one and all.
struct HttpLimits {
  std::size_t workers = 4;
  /// From the first look at a connection to the last byte of its request.
  std::chrono::milliseconds request_time{10'000};
  /// From the moment at which the answer is made to its last byte.
  std::chrono::milliseconds answer_time{10'000};
  std::size_t max_header_bytes = 8192;  // the request line included
  std::size_t max_body_bytes = 8192;
  /// One more takes the place of the oldest that waits for its client, and is turned away where all
  /// wait for their answers. Fewer where that is more than an eighth of the descriptors that the
  /// process may have.
  std::size_t max_connections = 128;
  /// Of answers that wait for their clients; beyond it the oldest is cut.
  std::size_t max_answer_bytes = std::size_t{16} << 20;
  /// Of answers with a delay; beyond it the one that waits longest is cut, without its answer.
  std::size_t max_delayed = 32;
};

/// Serves HTTP/1.1, a request per connection. One thread receives whole requests and sends whole
/// answers, asynchronously; workers make the answers and never wait for a client: however many
/// clients are slow, one that has sent its request is answered.
///
/// Nothing that a client does ends it. Where the system has no descriptor or memory for a
/// connection, one more takes the place of the oldest that waits for its client; where none does,
/// the server pauses for a moment and goes on.
class HttpServer {
 public:
  /// The answer to a request. Called by the workers, several at a time. An exception is answered
  /// by 500.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  /// Every answer, also those to requests that the handler never sees, gets `common_fields`. Throws
  /// std::system_error where the system has no descriptor for it.
  HttpServer(const HttpLimits& limits, HttpFields common_fields, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Serves a socket that listens (http_listener.hpp) until the stop, in the calling thread, which
  /// does all input and output. The stop cuts what is open and waits for answers in the making.
  /// Once.
  void serve(Fd listener, const std::stop_token& stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
