#include "bench/connection_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include <fmt/format.h>

#include "bench/sockets.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

std::string task_of(pid_t thread_id) { return fmt::format("/proc/self/task/{}", thread_id); }

}  // namespace

ConnectionServer::ConnectionServer(std::string name, Serve serve)
    : name_(std::move(name)), serve_(std::move(serve)), listener_(listen_on_loopback(port_)) {
  acceptor_ = start_thread(name_, [this](const std::stop_token&) { accept_all(); });
}

ConnectionServer::~ConnectionServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);  // accept() returns
  acceptor_.join();
  for (Connection& connection : connections_) ::shutdown(connection.socket.get(), SHUT_RDWR);
  for (Connection& connection : connections_) connection.thread.join();
}

CpuTime ConnectionServer::cpu() const {
  const std::lock_guard lock(mutex_);
  CpuTime sum = ended_;
  for (const Connection& connection : connections_) {
    if (connection.thread_id != 0) sum += cpu_time(task_of(connection.thread_id));
  }
  return sum;
}

void ConnectionServer::accept_all() {
  while (true) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::lock_guard lock(mutex_);
    Connection& connection = connections_.emplace_back();
    connection.socket = std::move(socket);
    connection.thread =
        start_thread(name_, [this, &connection](const std::stop_token&) { run(connection); });
  }
}

void ConnectionServer::run(Connection& connection) {
  const pid_t id = ::gettid();
  {
    const std::lock_guard lock(mutex_);
    connection.thread_id = id;
  }
  serve_(connection.socket.get());
  ::shutdown(connection.socket.get(), SHUT_RDWR);
  const std::lock_guard lock(mutex_);
  ended_ += cpu_time(task_of(id));
  connection.thread_id = 0;
}

}  // namespace m2b::bench
