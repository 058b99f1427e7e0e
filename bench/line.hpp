#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "bench/sockets.hpp"
#include "bench/usage.hpp"
#include "m2b/util/fd.hpp"

namespace m2b::bench {

struct LineOptions {
  int rtt_ms = 200;
  double megabits = 50;  // a second, towards the store, of all connections together; 0: no limit
};

/// A far and narrow line to a store: all connections share its rate towards the store, and every
/// byte takes half a round trip in either direction. One thread carries all of it. Nothing is lost
/// on it, and TCP's slow start is not imitated.
class Line {
 public:
  using Clock = std::chrono::steady_clock;

  /// Connections are refused until it is opened.
  Line(const Address& store, const LineOptions& options);
  /// Ends all connections.
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  [[nodiscard]] Address address() const { return {kLoopback, port_}; }
  void open();

  /// What has crossed it.
  struct Traffic {
    std::uint64_t bytes_to_store = 0;  // of TCP's payload
    std::uint64_t connections = 0;
    std::optional<Clock::time_point> first_connection;
  };
  [[nodiscard]] Traffic traffic() const;
  [[nodiscard]] CpuTime cpu() const;

 private:
  class Carrier;

  std::uint16_t port_ = 0;
  std::unique_ptr<Carrier> carrier_;
  std::jthread thread_;  // last: it uses the carrier
};

}  // namespace m2b::bench
