#pragma once

#include <httplib.h>

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "http/reception.hpp"

namespace m2b {

/// httplib's server, with a bound to everything. httplib gives each connection a thread and starts
/// its timeouts again with each byte, so that slow clients would keep all workers, and the stop,
/// for as long as they like. Here Reception stands before it: httplib sees whole requests, of
/// limited size, and its answers wait for nobody.
class HttpServer : public httplib::Server {
 public:
  HttpServer(std::stop_token stop, const HttpLimits& limits);

  /// Listens on a Unix socket that its owner alone may use; takes the place of one that is left
  /// over. False with errno when it cannot.
  [[nodiscard]] bool bind_to_path(const std::filesystem::path& path);

  /// Serves what bind_to_port() or bind_to_path() has bound until the stop, or until accept()
  /// fails. Once. A stop cuts what is open.
  void serve();

 private:
  bool process_and_close_socket(socket_t socket) override;
  [[nodiscard]] std::string answer(std::string request);

  const std::stop_token stop_;
  const HttpLimits limits_;
  std::optional<Reception> reception_;  // while it serves
};

}  // namespace m2b
