#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "bench/usage.hpp"
#include "m2b/util/fd.hpp"

namespace m2b::bench {

/// Listens on the loopback; each connection has a thread of its own, in which `serve` runs until
/// the connection ends. Meant for the few connections of a bridge.
class ConnectionServer {
 public:
  using Serve = std::function<void(int socket)>;

  ConnectionServer(std::string name, Serve serve);
  /// Ends all connections.
  ~ConnectionServer();
  ConnectionServer(const ConnectionServer&) = delete;
  ConnectionServer& operator=(const ConnectionServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Of all connections that there were.
  [[nodiscard]] CpuTime cpu() const;

 private:
  struct Connection {
    Fd socket;
    pid_t thread_id = 0;  // 0 before it runs and after it has ended
    std::jthread thread;
  };

  void accept_all();
  void run(Connection& connection);

  std::string name_;
  Serve serve_;
  std::uint16_t port_ = 0;
  Fd listener_;
  mutable std::mutex mutex_;  // guards connections_ (its threads' ids as well) and ended_
  std::list<Connection> connections_;
  CpuTime ended_;
  std::jthread acceptor_;
};

}  // namespace m2b::bench
