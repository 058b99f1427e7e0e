#include "http/reception.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "http/request_size.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLengthRequired =
    "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

bool must_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Reception::Reception(const HttpLimits& limits, Answer answer)
    : limits_(limits), answer_(std::move(answer)), news_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  threads_.push_back(start_thread("http", [this](const std::stop_token& stop) { run(stop); }));
  for (std::size_t i = 0; i < limits_.workers; ++i) {
    threads_.push_back(start_thread(fmt::format("http-{}", i),
                                    [this](const std::stop_token& stop) { work(stop); }));
  }
}

Reception::~Reception() {
  for (std::jthread& thread : threads_) {
    thread.request_stop();
  }
  wake();
  threads_.clear();  // joins
}

void Reception::admit(Fd socket) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(socket));
  }
  wake();
}

void Reception::wake() const {
  // Fails only where it has been told more often than it can count, and so is awake.
  static_cast<void>(::eventfd_write(news_.get(), 1));
}

void Reception::run(const std::stop_token& stop) {
  step_back();
  while (!stop.stop_requested()) {
    wait();
    take_arrivals();
    take_answers();
    cut_overdue();
  }
  connections_.clear();
}

/// For news, or until a connection can go on, which then does.
void Reception::wait() {
  std::vector<pollfd> polled{{news_.get(), POLLIN, 0}};
  std::vector<Number> numbers{0};
  Clock::time_point deadline = Clock::time_point::max();
  for (const auto& [number, connection] : connections_) {
    if (connection.state == Connection::State::answering) {
      continue;
    }
    const bool receiving = connection.state == Connection::State::receiving;
    polled.push_back(
        {connection.socket.get(), static_cast<short>(receiving ? POLLIN : POLLOUT), 0});
    numbers.push_back(number);
    deadline = std::min(deadline, connection.deadline);
  }
  int patience = -1;
  if (deadline != Clock::time_point::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    patience = static_cast<int>(std::max<decltype(left)>(left, 0));
  }
  if (::poll(polled.data(), polled.size(), patience) <= 0) {
    return;
  }
  if (polled.front().revents != 0) {
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(news_.get(), &count));
  }
  for (std::size_t i = 1; i < polled.size(); ++i) {
    if (polled[i].revents != 0) {
      go_on(numbers[i]);
    }
  }
}

void Reception::take_arrivals() {
  std::deque<Fd> arrived;
  {
    const std::lock_guard lock(mutex_);
    arrived.swap(arrived_);
  }
  for (Fd& socket : arrived) {
    if (!make_room()) {
      continue;  // closes it
    }
    const Number number = next_number_++;
    connections_.emplace(number, Connection{.socket = std::move(socket),
                                            .deadline = Clock::now() + limits_.connection_time});
    go_on(number);  // mostly the request is there already
  }
}

void Reception::take_answers() {
  std::deque<Task> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (Task& answer : answers) {
    const auto found = connections_.find(answer.number);
    if (found == connections_.end()) {
      continue;
    }
    found->second.state = Connection::State::sending;
    found->second.bytes = std::move(answer.bytes);
    // Making it may have taken long, for which the client is not to blame.
    found->second.deadline =
        std::max(found->second.deadline, Clock::now() + limits_.connection_time);
    go_on(answer.number);
  }
  cut_large_answers();
}

/// Those first that have not even asked: who asks at once must always come through. False when all
/// wait for us: more would only wait longer.
bool Reception::make_room() {
  using State = Connection::State;
  if (connections_.size() < limits_.max_connections) {
    return true;
  }
  for (const State state : {State::receiving, State::sending}) {
    const auto oldest = std::ranges::find_if(
        connections_, [state](const auto& entry) { return entry.second.state == state; });
    if (oldest != connections_.end()) {
      connections_.erase(oldest);
      return true;
    }
  }
  return false;
}

void Reception::cut_large_answers() {
  std::size_t bytes = 0;
  for (auto at = connections_.end(); at != connections_.begin();) {
    --at;
    bytes += at->second.state == Connection::State::sending ? at->second.bytes.size() : 0;
    if (bytes > limits_.max_answer_bytes) {
      bytes -= at->second.bytes.size();
      at = connections_.erase(at);
    }
  }
}

void Reception::cut_overdue() {
  const auto now = Clock::now();
  std::erase_if(connections_, [now](const auto& entry) {
    return entry.second.state != Connection::State::answering && entry.second.deadline <= now;
  });
}

void Reception::go_on(Number number) {
  const auto found = connections_.find(number);
  Connection& connection = found->second;
  if (connection.state == Connection::State::receiving && !receive(number, connection)) {
    connections_.erase(found);
    return;
  }
  if (connection.state == Connection::State::sending && !send(connection)) {
    connections_.erase(found);
  }
}

/// False when the connection is of no use any more.
bool Reception::receive(Number number, Connection& connection) {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count =
        ::recv(connection.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && must_wait(errno)) {
      return true;
    }
    if (count <= 0) {
      return false;
    }
    connection.bytes.append(buffer.data(), static_cast<std::size_t>(count));
    const RequestLength length = length_of_request(connection.bytes);
    if (std::holds_alternative<LengthRefused>(length)) {
      connection.state = Connection::State::sending;
      connection.bytes = kLengthRequired;
      return true;
    }
    const auto* const bytes = std::get_if<std::size_t>(&length);
    if (std::max(bytes != nullptr ? *bytes : 0, connection.bytes.size()) >
        limits_.max_request_bytes) {
      return false;
    }
    if (bytes != nullptr && connection.bytes.size() >= *bytes) {
      connection.state = Connection::State::answering;
      connection.bytes.resize(*bytes);
      const std::lock_guard lock(mutex_);
      requests_.push_back({number, std::exchange(connection.bytes, {})});
      requested_.notify_one();
      return true;
    }
  }
}

/// False when all is sent, or the client has gone.
bool Reception::send(Connection& connection) {
  while (connection.sent < connection.bytes.size()) {
    const ssize_t count =
        ::send(connection.socket.get(), connection.bytes.data() + connection.sent,
               connection.bytes.size() - connection.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      return must_wait(errno);
    }
    connection.sent += static_cast<std::size_t>(count);
  }
  ::shutdown(connection.socket.get(), SHUT_WR);
  return false;
}

void Reception::work(const std::stop_token& stop) {
  step_back();
  std::unique_lock lock(mutex_);
  while (requested_.wait(lock, stop, [this] { return !requests_.empty(); }) &&
         !stop.stop_requested()) {
    Task task = std::move(requests_.front());
    requests_.pop_front();
    lock.unlock();
    task.bytes = answer_(std::move(task.bytes));
    lock.lock();
    answers_.push_back(std::move(task));
    wake();
  }
}

}  // namespace m2b
