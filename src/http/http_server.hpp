#pragma once

#include <httplib.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <stop_token>

namespace m2b {

/// What one client may take.
struct HttpLimits {
  /// So many clients that say nothing keep the next one waiting, for no longer than the time limit.
  std::size_t workers = 8;
  /// From the first look at a connection to the last byte of the answer.
  std::chrono::milliseconds connection_time{2000};
  std::size_t max_request_bytes = 8192;
};

/// httplib's server, with a bound to everything. httplib's own timeouts start again with each byte,
/// so that a slow client would keep a worker, and the stop, for as long as it likes. Here a
/// connection has one request, a limited time and a limited size; a stop cuts what is open.
class HttpServer : public httplib::Server {
 public:
  HttpServer(std::stop_token stop, const HttpLimits& limits);

  /// Listens on a Unix socket that its owner alone may use; takes the place of one that is left
  /// over. False with errno when it cannot.
  [[nodiscard]] bool bind_to_path(const std::filesystem::path& path);

  /// Serves what bind_to_port() or bind_to_path() has bound until the stop, or until accept()
  /// fails. Once.
  void serve();

 private:
  bool process_and_close_socket(socket_t socket) override;

  const std::stop_token stop_;
  const HttpLimits limits_;
};

}  // namespace m2b
