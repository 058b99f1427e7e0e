#include "http/http_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "http/unix_address.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

/// A connection whose time and request bytes are counted as a whole.
class BoundedStream final : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, const HttpLimits& limits)
      : socket_(socket),
        deadline_(Clock::now() + limits.connection_time),
        bytes_left_(limits.max_request_bytes) {}

  [[nodiscard]] bool is_readable() const override { return wait_for(POLLIN); }
  [[nodiscard]] bool is_writable() const override { return wait_for(POLLOUT); }

  ssize_t read(char* data, size_t size) override {
    size = std::min(size, bytes_left_);
    if (size == 0 || !is_readable()) {
      return -1;
    }
    const ssize_t count = ::recv(socket_, data, size, MSG_DONTWAIT);
    if (count > 0) {
      bytes_left_ -= static_cast<std::size_t>(count);
    }
    return count;
  }

  /// All of it: httplib does not ask again for the rest everywhere.
  ssize_t write(const char* data, size_t size) override {
    for (std::size_t sent = 0; sent < size;) {
      const ssize_t count =
          is_writable() ? ::send(socket_, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL)
                        : -1;
      if (count < 0) {
        return -1;
      }
      sent += static_cast<std::size_t>(count);
    }
    return static_cast<ssize_t>(size);
  }

  // Who asks is of no interest.
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  [[nodiscard]] socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool wait_for(short event) const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd waiting{socket_, event, 0};
    return left > 0 && ::poll(&waiting, 1, static_cast<int>(left)) > 0;
  }

  const socket_t socket_;
  const Clock::time_point deadline_;
  std::size_t bytes_left_;
};

void shut_down(socket_t socket) { ::shutdown(socket, SHUT_RDWR); }

}  // namespace

HttpServer::HttpServer(std::stop_token stop, const HttpLimits& limits)
    : stop_(std::move(stop)), limits_(limits) {
  // By default httplib shares its port (SO_REUSEPORT): the second bridge on a machine would get
  // half of the first one's requests instead of an error.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  new_task_queue = [this] { return new httplib::ThreadPool(limits_.workers); };
}

bool HttpServer::bind_to_path(const std::filesystem::path& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UnixAddress address(path);
  if (!socket || !address) {
    return false;
  }
  ::unlink(address.path());
  constexpr mode_t kOwnerAlone = 0600;
  constexpr int kBacklog = 16;
  const bool bound = ::fchmod(socket.get(), kOwnerAlone) == 0 &&  // of the file that bind() makes
                     ::bind(socket.get(), address.get(), address.size()) == 0 &&
                     ::listen(socket.get(), kBacklog) == 0;
  if (bound) {
    svr_sock_ = socket.release();
  }
  return bound;
}

void HttpServer::serve() {
  // Not httplib's stop(), which is forgotten when it comes before the listening. This ends
  // accept(), now or later; httplib then closes the socket.
  const std::stop_callback end_accept(stop_, [this] { shut_down(svr_sock_); });
  listen_after_bind();
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  const Fd owner(socket);
  const std::stop_callback cut(stop_, [socket] { shut_down(socket); });
  BoundedStream stream(socket, limits_);
  bool closed = false;  // for keeping connections open, which we do not
  return process_request(stream, true, closed, nullptr);
}

}  // namespace m2b
