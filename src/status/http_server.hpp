#pragma once

#include <httplib.h>

#include <stop_token>

namespace m2b {

/// httplib's server, with a bound to everything. httplib's own timeouts start again with each byte,
/// so that a slow client would keep a worker, and the stop, for as long as it likes. Here a
/// connection has one request, a limited time and a limited size; a stop cuts what is open.
class HttpServer : public httplib::Server {
 public:
  explicit HttpServer(std::stop_token stop);

  /// Serves what bind_to_port() has bound until the stop, or until accept() fails. Once.
  void serve();

 private:
  bool process_and_close_socket(socket_t socket) override;

  std::stop_token stop_;
};

}  // namespace m2b
