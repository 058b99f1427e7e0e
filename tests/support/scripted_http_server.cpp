#include "support/scripted_http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <limits>
#include <span>
#include <stdexcept>
#include <system_error>

#include "upload/digest.hpp"

namespace m2b::test {
namespace {

constexpr std::chrono::seconds kDeadline{10};
constexpr std::chrono::milliseconds kDrip{20};
constexpr std::string_view kChecksum = "x-amz-checksum-sha256";
constexpr std::size_t kWholeBody = std::numeric_limits<std::size_t>::max();

[[noreturn]] void throw_errno(const char* function) {
  throw std::system_error(errno, std::generic_category(), function);
}

bool same_name(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

std::string format_answer(int status, const ScriptedHttpServer::Headers& headers,
                          std::string_view body) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (const auto& [name, value] : headers) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

std::string answer_of_store(const ScriptedHttpServer::Request& request,
                            ScriptedHttpServer::Headers headers) {
  const std::string_view body = request.body;
  const std::string checksum = request.header(kChecksum);
  if (!checksum.empty() && checksum != base64(sha256(std::span(&body, 1)))) {
    return format_answer(400, headers, "<Error><Code>BadDigest</Code></Error>");
  }
  const bool has_etag = std::any_of(headers.begin(), headers.end(),
                                    [](const auto& header) { return header.first == "ETag"; });
  if (!has_etag) headers.emplace_back("ETag", '"' + md5_hex(body).value() + '"');
  if (!checksum.empty()) headers.emplace_back(kChecksum, checksum);
  return format_answer(200, headers, {});
}

/// Request line and header fields, without the empty line behind them.
ScriptedHttpServer::Request parse_head(std::string_view head) {
  ScriptedHttpServer::Request request;
  bool first = true;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    if (first) {
      const std::size_t method_end = line.find(' ');
      const std::size_t target_end = line.rfind(' ');
      request.method = line.substr(0, method_end);
      request.target = line.substr(method_end + 1, target_end - method_end - 1);
      first = false;
    } else {
      const std::size_t colon = line.find(':');
      std::string_view value = line.substr(std::min(colon + 1, line.size()));
      value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
      request.headers.emplace_back(line.substr(0, colon), value);
    }
  }
  return request;
}

std::size_t content_length(const ScriptedHttpServer::Request& request) {
  const std::string text = request.header("Content-Length");
  std::size_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

}  // namespace

/// A connected socket with what was read ahead.
class ScriptedHttpServer::Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}

  /// Up to and without the empty line; empty when the client went away.
  std::string read_head() {
    constexpr std::string_view kEnd = "\r\n\r\n";
    std::size_t end = std::string::npos;
    while ((end = buffer_.find(kEnd)) == std::string::npos) {
      if (!fill()) return {};
    }
    std::string head = buffer_.substr(0, end);
    buffer_.erase(0, end + kEnd.size());
    return head;
  }

  /// Fewer bytes only when the client went away.
  std::string read_bytes(std::size_t count) {
    while (buffer_.size() < count && fill()) {
    }
    std::string bytes = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return bytes;
  }

  [[nodiscard]] std::size_t read_ahead() const { return buffer_.size(); }

  void wait_for_end() {
    while (fill()) buffer_.clear();
  }

  /// The client sees the end behind what was sent.
  void end_sending() const { ::shutdown(descriptor_, SHUT_WR); }

  [[nodiscard]] bool has_ended_within(std::chrono::milliseconds time) {
    pollfd readable{descriptor_, POLLIN, 0};
    return ::poll(&readable, 1, static_cast<int>(time.count())) > 0 && !fill();
  }

  void send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the client does not want to know
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  /// Lets the coming close send a reset.
  void reset_on_close() const {
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

 private:
  bool fill() {
    std::array<char, 16384> block{};
    const ssize_t count = ::recv(descriptor_, block.data(), block.size(), 0);
    if (count <= 0) return false;
    buffer_.append(block.data(), static_cast<std::size_t>(count));
    return true;
  }

  int descriptor_;
  std::string buffer_;
};

std::string ScriptedHttpServer::Request::header(std::string_view name) const {
  for (const auto& [each, value] : headers) {
    if (same_name(each, name)) return value;
  }
  return {};
}

ScriptedHttpServer::ScriptedHttpServer() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener_ < 0) throw_errno("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, length) != 0) throw_errno("bind");
  if (::listen(listener_, SOMAXCONN) != 0) throw_errno("listen");
  if (::getsockname(listener_, generic, &length) != 0) throw_errno("getsockname");
  port_ = ntohs(address.sin_port);
  accept_thread_ = std::jthread([this] { accept_loop(); });
}

ScriptedHttpServer::~ScriptedHttpServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const Connection& each : connections_) {
      if (each.descriptor >= 0) ::shutdown(each.descriptor, SHUT_RDWR);
    }
  }
  ::shutdown(listener_, SHUT_RDWR);  // wakes accept()
  accept_thread_.join();
  connection_threads_.clear();  // joins; nobody adds to them any more
  ::close(listener_);
}

void ScriptedHttpServer::store(const Headers& headers) { add(store_step(headers)); }

void ScriptedHttpServer::answer(int status, const Headers& headers, std::string_view body) {
  add({Action::answer, format_answer(status, headers, body), false, kWholeBody});
}

void ScriptedHttpServer::answer_and_close(int status, const Headers& headers,
                                          std::string_view body) {
  add({Action::answer, format_answer(status, headers, body), true, kWholeBody});
}

void ScriptedHttpServer::answer_raw(std::string bytes) {
  add({Action::answer, std::move(bytes), false, kWholeBody});
}

void ScriptedHttpServer::answer_raw_and_close(std::string bytes) {
  add({Action::answer, std::move(bytes), true, kWholeBody});
}

void ScriptedHttpServer::stay_silent() { add({Action::stay_silent, {}, true, kWholeBody}); }

void ScriptedHttpServer::drip(std::string beginning) {
  add({Action::drip, std::move(beginning), true, kWholeBody});
}

void ScriptedHttpServer::drop() { add({Action::drop, {}, true, kWholeBody}); }

void ScriptedHttpServer::reset_in_body(std::size_t after_bytes) {
  add({Action::reset, {}, true, after_bytes});
}

ScriptedHttpServer::Request ScriptedHttpServer::request(std::size_t index) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kDeadline, [&] { return requests_.size() > index; })) {
    throw std::runtime_error("request " + std::to_string(index) + " did not come");
  }
  return requests_[index];
}

std::size_t ScriptedHttpServer::request_count() {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

void ScriptedHttpServer::wait_until_closed(std::size_t connection) {
  std::unique_lock lock(mutex_);
  const auto is_closed = [&] {
    return connections_.size() > connection && connections_[connection].has_ended;
  };
  if (!changed_.wait_for(lock, kDeadline, is_closed)) {
    throw std::runtime_error("connection " + std::to_string(connection) + " was not closed");
  }
}

void ScriptedHttpServer::add(Step step) {
  const std::lock_guard lock(mutex_);
  script_.push_back(std::move(step));
}

ScriptedHttpServer::Step ScriptedHttpServer::store_step(const Headers& headers) {
  return {Action::answer, {}, false, kWholeBody, true, headers};
}

ScriptedHttpServer::Step ScriptedHttpServer::next_step() {
  const std::lock_guard lock(mutex_);
  if (script_.empty()) return store_step({});
  Step step = std::move(script_.front());
  script_.pop_front();
  return step;
}

void ScriptedHttpServer::accept_loop() {
  for (;;) {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (descriptor < 0 || stopping_) {
      if (descriptor >= 0) ::close(descriptor);
      return;
    }
    const std::size_t connection = connections_.size();
    connections_.push_back({descriptor, false});
    connection_threads_.emplace_back(
        [this, connection, descriptor] { serve(connection, descriptor); });
  }
}

void ScriptedHttpServer::serve(std::size_t connection, int descriptor) {
  Socket socket(descriptor);
  while (serve_request(socket, connection)) {
  }
  close_connection(connection);
}

bool ScriptedHttpServer::serve_request(Socket& socket, std::size_t connection) {
  const std::string head = socket.read_head();
  if (head.empty()) return false;
  Step step = next_step();
  Request request = parse_head(head);
  request.connection = connection;
  const std::size_t body_bytes = std::min(content_length(request), step.body_bytes);
  request.body_bytes_with_head = std::min(body_bytes, socket.read_ahead());
  request.body = socket.read_bytes(body_bytes);
  if (step.is_of_store) step.bytes = answer_of_store(request, step.headers);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  changed_.notify_all();

  switch (step.action) {
    case Action::answer:
      socket.send_all(step.bytes);
      if (step.close_after) end_answers(socket, connection);
      break;
    case Action::stay_silent:
      socket.wait_for_end();
      break;
    case Action::drip:
      socket.send_all(step.bytes);
      while (!socket.has_ended_within(kDrip)) socket.send_all("x");
      break;
    case Action::drop:
      break;
    case Action::reset:
      socket.reset_on_close();
      break;
  }
  return !step.close_after;
}

/// What the client still asks is read and forgotten: closing with requests unread would be a reset,
/// which takes the last answer away again.
void ScriptedHttpServer::end_answers(Socket& socket, std::size_t connection) {
  socket.end_sending();
  {
    const std::lock_guard lock(mutex_);
    connections_[connection].has_ended = true;
  }
  changed_.notify_all();
  socket.wait_for_end();
}

void ScriptedHttpServer::close_connection(std::size_t connection) {
  {
    const std::lock_guard lock(mutex_);
    ::close(connections_[connection].descriptor);
    connections_[connection] = {-1, true};
  }
  changed_.notify_all();
}

}  // namespace m2b::test
