#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "m2b/util/fd.hpp"

namespace m2b {

/// What the clients of a server may take, one and all.
struct HttpLimits {
  std::size_t workers = 4;
  /// From the first look at a connection to the last byte of the answer, without the time in which
  /// the answer is made.
  std::chrono::milliseconds connection_time{10'000};
  std::size_t max_request_bytes = 8192;
  /// One more takes the place of the oldest that waits for its client, and is turned away where all
  /// wait for their answers.
  std::size_t max_connections = 128;
  /// Of answers that wait for their clients; beyond it the oldest is cut.
  std::size_t max_answer_bytes = std::size_t{16} << 20;
};

/// Receives whole requests and sends whole answers, of all connections in one thread. The workers,
/// which make the answers, so never wait for a client: however many are slow, one that has sent its
/// request is answered. A connection is for one request.
class Reception {
 public:
  /// The whole answer to a whole request; empty: the connection is closed. Called by the workers,
  /// several at a time.
  using Answer = std::function<std::string(std::string request)>;

  Reception(const HttpLimits& limits, Answer answer);
  /// Cuts what is open; waits for answers in the making.
  ~Reception();
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;

  /// Any thread.
  void admit(Fd socket);

 private:
  using Clock = std::chrono::steady_clock;
  using Number = std::uint64_t;  // of a connection, in order of arrival

  struct Connection {
    enum class State { receiving, answering, sending };
    Fd socket;
    Clock::time_point deadline;
    State state = State::receiving;
    std::string bytes = {};  // of the request, then of the answer
    std::size_t sent = 0;
  };
  struct Task {
    Number number;
    std::string bytes;  // request or answer
  };

  void run(const std::stop_token& stop);
  void wait();
  void take_arrivals();
  void take_answers();
  [[nodiscard]] bool make_room();
  void cut_large_answers();
  void cut_overdue();
  void go_on(Number number);
  [[nodiscard]] bool receive(Number number, Connection& connection);
  [[nodiscard]] bool send(Connection& connection);
  void work(const std::stop_token& stop);
  void wake() const;

  const HttpLimits limits_;
  const Answer answer_;
  const Fd news_;  // eventfd: there are arrivals or answers, or it is time to stop

  // Only the receiving thread touches these.
  std::map<Number, Connection> connections_;
  Number next_number_ = 0;

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any requested_;
  std::deque<Fd> arrived_;
  std::deque<Task> requests_;
  std::deque<Task> answers_;

  std::vector<std::jthread> threads_;
};

}  // namespace m2b
