#include "bench/line.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/lane.hpp"
#include "bench/sockets.hpp"
#include "m2b/util/thread.hpp"

namespace m2b::bench {
namespace {

using Clock = Line::Clock;
using TimePoint = Clock::time_point;

/// Of a sender: what it has sent and the line has not taken. Bounded, since Linux would let it grow
/// to megabytes for each connection.
constexpr int kSenderBytes = 256 << 10;
/// Chunks taken in one go, before what is due is delivered.
constexpr int kMaxTurns = 64;

Fd checked(int fd, const char* function) {
  if (fd < 0) throw_errno(function);
  return Fd(fd);
}

/// An epoll: which of its descriptors is ready, the longest not served first.
class Ready {
 public:
  Ready() : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

  void add(int fd, std::uint32_t events, void* owner) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl");
  }
  void remove(int fd) const noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  /// Null when there is none. One at a time, since serving it may end the others.
  [[nodiscard]] void* next() const noexcept {
    epoll_event event{};
    return ::epoll_wait(epoll_.get(), &event, 1, 0) == 1 ? event.data.ptr : nullptr;
  }

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

 private:
  Fd epoll_;
};

struct Connection;

/// One direction of a connection.
struct Flow {
  Connection* connection = nullptr;
  int from = -1;
  int to = -1;
  std::string waiting;       // has arrived, but the receiver takes no more: then nothing is taken
  bool is_read_out = false;  // its sender has said the end,
  bool is_over = false;      // which has arrived
};

struct Connection : std::enable_shared_from_this<Connection> {
  Connection(Fd client_socket, Fd store_socket)
      : client(std::move(client_socket)), store(std::move(store_socket)) {
    up.connection = down.connection = this;
    up.from = down.to = client.get();
    up.to = down.from = store.get();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Fd client;
  Fd store;
  Flow up;
  Flow down;
};

/// Bytes under way; none: the end of the flow.
struct Chunk {
  TimePoint due;
  std::shared_ptr<Connection> connection;
  Flow* flow = nullptr;
  std::string bytes;
};

/// A lane with what is on it.
struct Way {
  explicit Way(const Lane& reckoning) : lane(reckoning) {}

  Lane lane;
  Ready senders;
  std::deque<Chunk> chunks;  // in the order of their times
};

/// Somebody whose handshake takes its round trip.
struct Caller {
  TimePoint due;
  Fd socket;
};

Lane lane_of(const LineOptions& options, double megabits) {
  return {megabits * 1e6 / 8, std::chrono::microseconds(options.rtt_ms * 500)};
}

}  // namespace

/// The body of the thread; the other threads call open(), wake(), traffic() and cpu().
class Line::Carrier {
 public:
  Carrier(const Address& store, const LineOptions& options, std::uint16_t& port)
      : store_(store),
        round_trip_(std::chrono::milliseconds(options.rtt_ms)),
        listener_(bind_on_loopback(port)),
        wake_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
        up_(lane_of(options, options.megabits)),
        down_(lane_of(options, 0)) {
    // Inherited by the connections; it has to be there before the handshake tells the window.
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_RCVBUF, &kSenderBytes, sizeof kSenderBytes);
  }

  void open() {
    if (::listen(listener_.get(), SOMAXCONN) != 0) throw_errno("listen");
    is_open_ = true;
    wake();
  }

  void wake() const noexcept { ::eventfd_write(wake_.get(), 1); }

  [[nodiscard]] Traffic traffic() const {
    const std::lock_guard lock(mutex_);
    return traffic_;
  }

  [[nodiscard]] CpuTime cpu() const {
    return cpu_time(fmt::format("/proc/self/task/{}", thread_id_.load()));
  }

  void run(const std::stop_token& stop) {
    thread_id_ = ::gettid();
    while (!stop.stop_requested()) {
      const TimePoint now = Clock::now();
      connect_due(now);
      deliver_due(up_, now);
      deliver_due(down_, now);
      wait();
      ::eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
      accept_all();
      send_on();
      take_from(up_);
      take_from(down_);
    }
  }

 private:
  [[nodiscard]] static bool takes_more(const Way& way) {
    return way.lane.takes_more_at() <= Clock::now();
  }

  /// Until something is due or somebody ready. Senders count only where their lane takes more.
  void wait() {
    std::optional<TimePoint> next;
    const auto at_most = [&next](TimePoint time) { next = std::min(next.value_or(time), time); };
    if (!callers_.empty()) at_most(callers_.front().due);
    for (const Way* way : {&up_, &down_}) {
      if (!way->chunks.empty()) at_most(way->chunks.front().due);
      if (!takes_more(*way)) at_most(way->lane.takes_more_at());
    }
    std::array<pollfd, 5> watched{{
        {wake_.get(), POLLIN, 0},
        {is_open_ ? listener_.get() : -1, POLLIN, 0},
        {receivers_.fd(), POLLIN, 0},
        {takes_more(up_) ? up_.senders.fd() : -1, POLLIN, 0},
        {takes_more(down_) ? down_.senders.fd() : -1, POLLIN, 0},
    }};
    timespec timeout{};
    if (next) {
      const auto left = std::max<Clock::duration>(*next - Clock::now(), Clock::duration(0));
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      timeout.tv_sec = seconds.count();
      timeout.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
    }
    if (::ppoll(watched.data(), watched.size(), next ? &timeout : nullptr, nullptr) < 0 &&
        errno != EINTR) {
      throw_errno("ppoll");
    }
    has_callers_ = (watched[1].revents & POLLIN) != 0;
  }

  /// The handshake itself is the kernel's and immediate: what it takes on such a line is the time
  /// in which nothing is read from the caller yet.
  void accept_all() {
    if (!std::exchange(has_callers_, false)) return;
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const TimePoint now = Clock::now();
    callers_.push_back({now + round_trip_, std::move(socket)});
    const std::lock_guard lock(mutex_);
    ++traffic_.connections;
    if (!traffic_.first_connection) traffic_.first_connection = now;
  }

  void connect_due(TimePoint now) {
    for (; !callers_.empty() && callers_.front().due <= now; callers_.pop_front()) {
      Fd store = connect_to(store_);
      if (!store) continue;
      const auto connection =
          std::make_shared<Connection>(std::move(callers_.front().socket), std::move(store));
      connections_.push_back(connection);
      up_.senders.add(connection->client.get(), EPOLLIN, &connection->up);
      down_.senders.add(connection->store.get(), EPOLLIN, &connection->down);
    }
  }

  void take_from(Way& way) {
    for (int turn = 0; turn < kMaxTurns && takes_more(way); ++turn) {
      auto* const flow = static_cast<Flow*>(way.senders.next());
      if (flow == nullptr) return;
      take(way, *flow);
    }
  }

  void take(Way& way, Flow& flow) {
    std::string bytes(way.lane.chunk_bytes(), '\0');
    const ssize_t got = ::recv(flow.from, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (bytes.empty()) {
      flow.is_read_out = true;
      way.senders.remove(flow.from);
    }
    const TimePoint due = way.lane.enter(bytes.size(), Clock::now());
    way.chunks.push_back({due, flow.connection->shared_from_this(), &flow, std::move(bytes)});
  }

  void deliver_due(Way& way, TimePoint now) {
    for (; !way.chunks.empty() && way.chunks.front().due <= now; way.chunks.pop_front()) {
      const Chunk& chunk = way.chunks.front();
      if (&way == &up_) count(chunk.bytes.size());
      if (!chunk.connection->client) continue;  // closed meanwhile
      Flow& flow = *chunk.flow;
      const bool is_held_up = !flow.waiting.empty();
      flow.waiting += chunk.bytes;
      flow.is_over = chunk.bytes.empty();
      if (!is_held_up) send_waiting(way, flow);
    }
  }

  /// To receivers that took no more, and now do.
  void send_on() {
    while (auto* const flow = static_cast<Flow*>(receivers_.next())) {
      Way& way = flow == &flow->connection->up ? up_ : down_;
      receivers_.remove(flow->to);
      if (!flow->is_read_out) way.senders.add(flow->from, EPOLLIN, flow);
      send_waiting(way, *flow);
    }
  }

  /// May end the flow, and with it the connection.
  void send_waiting(Way& way, Flow& flow) {
    while (!flow.waiting.empty()) {
      const ssize_t sent =
          ::send(flow.to, flow.waiting.data(), flow.waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) {
        if (!flow.is_read_out) way.senders.remove(flow.from);
        receivers_.add(flow.to, EPOLLOUT, &flow);
        return;
      }
      if (sent < 0) return close(*flow.connection);
      flow.waiting.erase(0, static_cast<std::size_t>(sent));
    }
    if (!flow.is_over) return;
    ::shutdown(flow.to, SHUT_WR);
    if (flow.connection->up.is_over && flow.connection->down.is_over) close(*flow.connection);
  }

  void close(Connection& connection) {
    connection.client = Fd();
    connection.store = Fd();
    std::erase_if(connections_, [&](const auto& one) { return one.get() == &connection; });
  }

  void count(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    traffic_.bytes_to_store += bytes;
  }

  Address store_;
  Clock::duration round_trip_;
  Fd listener_;
  Fd wake_;
  std::atomic<bool> is_open_ = false;
  std::atomic<pid_t> thread_id_ = 0;
  bool has_callers_ = false;
  std::deque<Caller> callers_;
  std::vector<std::shared_ptr<Connection>> connections_;
  Ready receivers_;  // of those that took no more, who takes again
  Way up_;
  Way down_;
  mutable std::mutex mutex_;  // guards traffic_
  Traffic traffic_;
};

Line::Line(const Address& store, const LineOptions& options)
    : carrier_(std::make_unique<Carrier>(store, options, port_)),
      thread_(start_thread("line", [this](const std::stop_token& stop) { carrier_->run(stop); })) {}

Line::~Line() {
  thread_.request_stop();
  carrier_->wake();
  thread_.join();
}

void Line::open() { carrier_->open(); }

Line::Traffic Line::traffic() const { return carrier_->traffic(); }

CpuTime Line::cpu() const { return carrier_->cpu(); }

}  // namespace m2b::bench
