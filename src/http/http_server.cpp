#include "http/http_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "http/unix_address.hpp"
#include "m2b/util/fd.hpp"

namespace m2b {
namespace {

/// A request that has arrived and an answer that is still to be sent, as httplib's connection.
class WholeStream final : public httplib::Stream {
 public:
  explicit WholeStream(std::string request) : request_(std::move(request)) {}

  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool is_writable() const override { return true; }

  ssize_t read(char* data, size_t size) override {
    const std::size_t count = request_.copy(data, size, read_);
    read_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* data, size_t size) override {
    answer_.append(data, size);
    return static_cast<ssize_t>(size);
  }

  // Who asks is of no interest.
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  [[nodiscard]] socket_t socket() const override { return INVALID_SOCKET; }

  [[nodiscard]] std::string take_answer() && { return std::move(answer_); }

 private:
  const std::string request_;
  std::size_t read_ = 0;
  std::string answer_;
};

/// What httplib wants done with a connection is done at once, by the thread that accepts: Reception
/// has the threads.
class AtOnce final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override {}
};

void shut_down(socket_t socket) { ::shutdown(socket, SHUT_RDWR); }

constexpr int kBacklog = 128;  // httplib's own is 5

}  // namespace

HttpServer::HttpServer(std::stop_token stop, const HttpLimits& limits)
    : stop_(std::move(stop)), limits_(limits) {
  // By default httplib shares its port (SO_REUSEPORT): the second bridge on a machine would get
  // half of the first one's requests instead of an error.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  new_task_queue = [] { return new AtOnce; };
}

bool HttpServer::bind_to_path(const std::filesystem::path& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UnixAddress address(path);
  if (!socket || !address) {
    return false;
  }
  ::unlink(address.path());
  constexpr mode_t kOwnerAlone = 0600;
  const bool bound = ::fchmod(socket.get(), kOwnerAlone) == 0 &&  // of the file that bind() makes
                     ::bind(socket.get(), address.get(), address.size()) == 0 &&
                     ::listen(socket.get(), kBacklog) == 0;
  if (bound) {
    svr_sock_ = socket.release();
  }
  return bound;
}

void HttpServer::serve() {
  ::listen(svr_sock_, kBacklog);  // once more, for bind_to_port()
  reception_.emplace(limits_, [this](std::string request) { return answer(std::move(request)); });
  {
    // Not httplib's stop(), which is forgotten when it comes before the listening. This ends
    // accept(), now or later; httplib then closes the socket.
    const std::stop_callback end_accept(stop_, [this] { shut_down(svr_sock_); });
    listen_after_bind();
  }
  reception_.reset();
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  reception_->admit(Fd(socket));
  return true;
}

std::string HttpServer::answer(std::string request) {
  WholeStream stream(std::move(request));
  bool closed = false;  // for keeping connections open, which we do not
  process_request(stream, true, closed, nullptr);
  return std::move(stream).take_answer();
}

}  // namespace m2b
