#include "http/http_server.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "http/request_reader.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
/// Without a descriptor or memory for another connection.
constexpr std::chrono::milliseconds kAcceptPause{100};
/// So that one that floods us does not keep the others from their turn.
constexpr int kAcceptsAtATime = 32;
/// How long, and for how many bytes, a client that is answered may go on sending. Closing a socket
/// with unread bytes resets the connection, and the answer may be lost with it (RFC 9112, 9.6).
constexpr std::chrono::milliseconds kLingerTime{2'000};
constexpr std::size_t kLingerBytes = std::size_t{256} << 10;
/// Of answers that are made and that the serving thread has not seen yet; one may be larger.
constexpr std::size_t kMaxUntakenBytes = std::size_t{1} << 20;
constexpr std::size_t kReadBytes = std::size_t{16} << 10;

/// The most of the process's descriptors that the clients of a server may hold: the rest is for
/// broker, store and spool, whatever the clients do.
constexpr std::size_t kShareOfDescriptors = 8;
constexpr std::size_t kMinConnections = 4;

std::size_t connections_within(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return wanted;
  }
  return std::min(wanted, std::max(kMinConnections, limit.rlim_cur / kShareOfDescriptors));
}

bool is_of_one_client(int error) {
  // accept(2): of the connection, which is gone already, not of ours.
  constexpr std::array kErrors{EINTR,        ECONNABORTED, EPROTO,     EPERM,
                               ENETDOWN,     ENOPROTOOPT,  EHOSTDOWN,  ENONET,
                               EHOSTUNREACH, EOPNOTSUPP,   ENETUNREACH};
  return std::ranges::find(kErrors, error) != kErrors.end();
}

std::string head_of(const HttpResponse& response, const HttpFields& common_fields) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(response.status)));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status,
                                 std::string_view(reason.data(), reason.size()));
  for (const HttpFields* const fields : {&common_fields, &response.fields}) {
    for (const HttpField& field : *fields) {
      fmt::format_to(std::back_inserter(head), "{}: {}\r\n", field.name, field.value);
    }
  }
  fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\nConnection: close\r\n\r\n",
                 response.body.size());
  return head;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpLimits& limits, HttpFields common_fields, Handler handler)
      : limits_(limits), common_fields_(std::move(common_fields)), handler_(std::move(handler)) {
    const int news = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (news < 0) {
      throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    news_.assign(news);
    answers_.reserve(limits_.max_connections);
    taken_.reserve(limits_.max_connections);
  }

  void serve(Fd listener, const std::stop_token& stop) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::system_error(errno, std::generic_category(), "getsockname");
    }
    family_ = address.ss_family;
    max_connections_ = connections_within(limits_.max_connections);
    listener_.assign(listener.get());
    static_cast<void>(listener.release());
    start_workers();
    {
      const std::stop_callback end(stop, [this] { io_.stop(); });
      run(stop);
    }
    workers_.clear();  // asks them to stop and joins
    connections_.clear();
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Number = std::uint64_t;  // of a connection, in order of arrival

  struct Connection {
    enum class State { receiving, answering, delayed, sending, lingering };

    Connection(Number its_number, asio::io_context& io, std::size_t max_header_bytes,
               std::size_t max_body_bytes)
        : number(its_number),
          socket(io),
          timer(io),
          reader(std::in_place, max_header_bytes, max_body_bytes) {}

    const Number number;
    Socket socket;
    asio::steady_timer timer;
    std::uint64_t timer_round = 0;  // a wait of an earlier round means nothing any more
    State state = State::receiving;
    std::optional<RequestReader> reader;  // while it receives
    bool is_head = false;
    std::string head;  // of the answer
    std::string body;
    std::size_t sent_bytes = 0;  // of both
    std::size_t lingered_bytes = 0;
  };
  using State = Connection::State;
  /// False: the connection is of no use any more.
  using Step = bool (Impl::*)(Connection&);

  struct Question {
    Number number;
    HttpRequest request;
  };
  struct Answer {
    Number number;
    HttpResponse response;
  };

  // The thread that serves.

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      try {
        await_clients();
        await_answers();
        io_.run();
      } catch (const std::exception& error) {
        // Out of memory, most likely; whatever was under way for a connection, its timer ends it.
        tell("a step failed, going on", error.what());
        static_cast<void>(sleep_for(kAcceptPause, stop));
      }
    }
  }

  /// One at least: fewer are slower, nothing else.
  void start_workers() {
    for (std::size_t i = 0; i < limits_.workers; ++i) {
      try {
        workers_.push_back(start_thread(fmt::format("http-{}", i),
                                        [this](const std::stop_token& ended) { work(ended); }));
      } catch (const std::system_error& error) {
        if (workers_.empty()) {
          throw;
        }
        tell("cannot start all threads, going on with fewer", error.what());
        return;
      }
    }
  }

  void await_clients() {
    if (std::exchange(awaits_clients_, true)) {
      return;
    }
    try {
      listener_.async_wait(asio::posix::descriptor_base::wait_read, [this](const error_code&) {
        awaits_clients_ = false;
        accept_clients();
      });
    } catch (...) {
      awaits_clients_ = false;
      throw;
    }
  }

  void pause_accepting() {
    awaits_clients_ = true;
    try {
      accept_pause_.expires_after(kAcceptPause);
      accept_pause_.async_wait([this](const error_code&) {
        awaits_clients_ = false;
        await_clients();
      });
    } catch (...) {
      awaits_clients_ = false;
      throw;
    }
  }

  void accept_clients() {
    for (int i = 0; i < kAcceptsAtATime; ++i) {
      Fd socket(
          ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket) {
        admit(std::move(socket));
        continue;
      }
      const int error = errno;
      if (error == EAGAIN || error == EWOULDBLOCK) {
        break;
      }
      if (!is_of_one_client(error)) {
        tell("cannot accept connections at the moment, going on",
             std::generic_category().message(error));
        // With few connections it is not the clients who hold too many descriptors.
        if (connections_.size() <= kMinConnections || !cut_oldest_that_waits()) {
          return pause_accepting();
        }
      }
    }
    await_clients();
  }

  void admit(Fd socket) {
    if (!make_room()) {
      return;  // closes it
    }
    const Number number = next_number_++;
    Connection& connection =
        connections_
            .try_emplace(number, number, io_, limits_.max_header_bytes, limits_.max_body_bytes)
            .first->second;
    error_code error;
    connection.socket.assign(asio::generic::stream_protocol(family_, 0), socket.get(), error);
    if (!error) {
      static_cast<void>(socket.release());
      connection.socket.non_blocking(true, error);
    }
    go_on(number, error, &Impl::begin);
  }

  /// Those first that have not even asked: who asks at once must always come through. False when
  /// all wait for us: more would only wait longer.
  bool make_room() { return connections_.size() < max_connections_ || cut_oldest_that_waits(); }

  bool cut_oldest_that_waits() {
    return cut_oldest(State::lingering) || cut_oldest(State::receiving) ||
           cut_oldest(State::delayed) || cut_oldest(State::sending);
  }

  bool cut_oldest(State state) {
    const auto oldest = std::ranges::find_if(
        connections_, [state](const auto& entry) { return entry.second.state == state; });
    if (oldest == connections_.end()) {
      return false;
    }
    connections_.erase(oldest);
    return true;
  }

  /// The next step of a connection, where it is still there.
  void go_on(Number number, const error_code& error, Step step) {
    const auto found = connections_.find(number);
    if (found == connections_.end()) {
      return;
    }
    bool is_of_use = false;
    try {
      is_of_use = !error && (this->*step)(found->second);
    } catch (const std::exception& failure) {
      tell("a connection is cut", failure.what());
    }
    if (!is_of_use) {
      connections_.erase(found);
    }
  }

  void set_timer(Connection& connection, std::chrono::milliseconds time, Step when_over) {
    connection.timer.expires_after(time);
    connection.timer.async_wait([this, number = connection.number, when_over,
                                 round = ++connection.timer_round](const error_code& error) {
      const auto found = connections_.find(number);
      if (!error && found != connections_.end() && found->second.timer_round == round) {
        go_on(number, {}, when_over);
      }
    });
  }

  static void end_timer(Connection& connection) {
    ++connection.timer_round;
    connection.timer.cancel();
  }

  void when_readable(Connection& connection, Step step) {
    connection.socket.async_wait(Socket::wait_read,
                                 [this, number = connection.number, step](const error_code& error) {
                                   go_on(number, error, step);
                                 });
  }

  void when_writable(Connection& connection, Step step) {
    connection.socket.async_wait(Socket::wait_write,
                                 [this, number = connection.number, step](const error_code& error) {
                                   go_on(number, error, step);
                                 });
  }

  bool begin(Connection& connection) {
    set_timer(connection, limits_.request_time, &Impl::give_up);
    return receive(connection);  // mostly the request is there already
  }

  bool give_up(Connection& /*connection*/) { return false; }

  bool receive(Connection& connection) {
    std::array<char, kReadBytes>
        buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled next
    while (true) {
      error_code error;
      const std::size_t count = connection.socket.read_some(asio::buffer(buffer), error);
      if (error == asio::error::would_block) {
        when_readable(connection, &Impl::receive);
        return true;
      }
      if (error) {
        return false;
      }
      RequestReader& reader = *connection.reader;
      switch (reader.take({buffer.data(), count})) {
        case RequestReader::Progress::incomplete:
          if (reader.wants_continue()) {
            // There is room for it: nothing was sent before.
            static_cast<void>(connection.socket.write_some(
                asio::buffer(kContinue.data(), kContinue.size()), error));
          }
          break;
        case RequestReader::Progress::complete:
          return ask(connection);
        case RequestReader::Progress::refused:
          connection.is_head = reader.is_head();
          return send(connection, reader.refusal());
      }
    }
  }

  bool ask(Connection& connection) {
    connection.is_head = connection.reader->is_head();
    HttpRequest request = std::move(*connection.reader).request();
    connection.reader.reset();
    // Making the answer may take long, for which the client is not to blame.
    end_timer(connection);
    connection.state = State::answering;
    const std::lock_guard lock(mutex_);
    questions_.push_back({connection.number, std::move(request)});
    asked_.notify_one();
    return true;
  }

  void await_answers() {
    if (std::exchange(awaits_answers_, true)) {
      return;
    }
    try {
      news_.async_wait(asio::posix::descriptor_base::wait_read, [this](const error_code&) {
        awaits_answers_ = false;
        eventfd_t count = 0;
        static_cast<void>(::eventfd_read(news_.native_handle(), &count));
        take_answers();
        await_answers();
      });
    } catch (...) {
      awaits_answers_ = false;
      throw;
    }
  }

  void take_answers() {
    taken_.clear();
    {
      const std::lock_guard lock(mutex_);
      taken_.swap(answers_);
      untaken_bytes_ = 0;
    }
    answer_taken_.notify_all();
    for (Answer& answer : taken_) {
      answer_ = &answer.response;
      go_on(answer.number, {}, &Impl::send_answer);
    }
    taken_.clear();
    cut_large_answers();
  }

  bool send_answer(Connection& connection) { return send(connection, std::move(*answer_)); }

  bool send(Connection& connection, HttpResponse response) {
    if (response.status == 0) {
      return false;  // there was no memory for any
    }
    connection.reader.reset();
    connection.head = head_of(response, common_fields_);
    if (!connection.is_head) {
      connection.body = std::move(response.body);
    }
    if (response.delay > std::chrono::milliseconds::zero()) {
      connection.state = State::delayed;
      set_timer(connection, response.delay, &Impl::send_now);
      cut_delayed(connection);
      return true;
    }
    return send_now(connection);
  }

  bool send_now(Connection& connection) {
    connection.state = State::sending;
    set_timer(connection, limits_.answer_time, &Impl::give_up);
    return send(connection);
  }

  /// Step by step, as receive(): an operation of several steps would go on with a connection that
  /// was cut between two of them.
  bool send(Connection& connection) {
    while (connection.sent_bytes < connection.head.size() + connection.body.size()) {
      const std::size_t sent = connection.sent_bytes;
      const std::array parts{
          asio::buffer(connection.head) + sent,
          asio::buffer(connection.body) + (sent - std::min(sent, connection.head.size()))};
      error_code error;
      connection.sent_bytes += connection.socket.write_some(parts, error);
      if (error == asio::error::would_block) {
        when_writable(connection, &Impl::send);
        return true;
      }
      if (error) {
        return false;
      }
    }
    return linger(connection);
  }

  /// The answer is sent: waits a little for the client to close.
  bool linger(Connection& connection) {
    connection.state = State::lingering;
    connection.head = {};
    connection.body = {};
    error_code error;
    connection.socket.shutdown(Socket::shutdown_send, error);
    set_timer(connection, std::min(kLingerTime, limits_.answer_time), &Impl::give_up);
    return !error && discard(connection);
  }

  bool discard(Connection& connection) {
    std::array<char, kReadBytes>
        buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled next
    while (connection.lingered_bytes < kLingerBytes) {
      error_code error;
      connection.lingered_bytes += connection.socket.read_some(asio::buffer(buffer), error);
      if (error == asio::error::would_block) {
        when_readable(connection, &Impl::discard);
        return true;
      }
      if (error) {
        break;
      }
    }
    return false;
  }

  /// But for `latest`, which is in the hands of its step.
  void cut_delayed(const Connection& latest) {
    const auto is_delayed = [](const auto& entry) { return entry.second.state == State::delayed; };
    const auto delayed = static_cast<std::size_t>(std::ranges::count_if(connections_, is_delayed));
    if (delayed <= limits_.max_delayed) {
      return;
    }
    const auto oldest = std::ranges::find_if(connections_, [&](const auto& entry) {
      return is_delayed(entry) && entry.first != latest.number;
    });
    if (oldest != connections_.end()) {
      connections_.erase(oldest);
    }
  }

  void cut_large_answers() {
    std::size_t bytes = 0;
    for (auto at = connections_.end(); at != connections_.begin();) {
      --at;
      const std::size_t its = at->second.head.capacity() + at->second.body.capacity();
      bytes += its;
      if (bytes > limits_.max_answer_bytes) {
        bytes -= its;
        at = connections_.erase(at);
      }
    }
  }

  void tell(const char* event, std::string_view cause) noexcept {
    try {
      if (const auto held_back = failures_.admit(event)) {
        log::warn("http", event, {{"cause", cause}, {"repeated", *held_back}});
      }
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): there is no memory for it
    }
  }

  // The workers.

  void work(const std::stop_token& stop) {
    step_back();
    std::unique_lock lock(mutex_);
    while (asked_.wait(lock, stop, [this] { return !questions_.empty(); }) &&
           !stop.stop_requested()) {
      const Question question = std::move(questions_.front());
      questions_.pop_front();
      lock.unlock();
      HttpResponse response = answer_to(question.request);
      lock.lock();
      // Where answers are made faster than they are taken, they would pile up here.
      answer_taken_.wait(lock, stop, [&] {
        return untaken_bytes_ == 0 || untaken_bytes_ + response.body.size() <= kMaxUntakenBytes;
      });
      untaken_bytes_ += response.body.size();
      answers_.push_back({question.number, std::move(response)});  // has room: see the constructor
      // Fails only where it has been told more often than it can count, and so is awake.
      static_cast<void>(::eventfd_write(news_.native_handle(), 1));
    }
  }

  [[nodiscard]] HttpResponse answer_to(const HttpRequest& request) noexcept {
    try {
      return handler_(request);
    } catch (const std::exception& error) {
      return answer_to_failure(error.what());
    } catch (...) {
      return answer_to_failure("unknown");
    }
  }

  [[nodiscard]] HttpResponse answer_to_failure(std::string_view cause) noexcept {
    try {
      tell("a request could not be answered", cause);
      return http_refusal(500, "this could not be answered");
    } catch (const std::exception&) {
      return {.status = 0};
    }
  }

  const HttpLimits limits_;
  const HttpFields common_fields_;
  const Handler handler_;
  Repetition failures_;

  asio::io_context io_{1};  // one thread

  // Only the thread that serves touches these, but for news_, which wakes it: there are answers.
  asio::posix::stream_descriptor news_{io_};
  asio::posix::stream_descriptor listener_{io_};
  asio::steady_timer accept_pause_{io_};
  bool awaits_clients_ = false;
  bool awaits_answers_ = false;
  int family_ = AF_UNSPEC;
  std::size_t max_connections_ = 0;
  std::map<Number, Connection> connections_;
  Number next_number_ = 0;
  std::vector<Answer> taken_;
  HttpResponse* answer_ = nullptr;  // that is being taken

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any asked_;
  std::condition_variable_any answer_taken_;
  std::deque<Question> questions_;
  std::vector<Answer> answers_;
  std::size_t untaken_bytes_ = 0;

  std::vector<std::jthread> workers_;
};

HttpServer::HttpServer(const HttpLimits& limits, HttpFields common_fields, Handler handler)
    : impl_(std::make_unique<Impl>(limits, std::move(common_fields), std::move(handler))) {}

HttpServer::~HttpServer() = default;

void HttpServer::serve(Fd listener, const std::stop_token& stop) {
  impl_->serve(std::move(listener), stop);
}

}  // namespace m2b
