#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "bench/sockets.hpp"

namespace m2b::bench {

/// One MQTT 3.1.1 connection that publishes. Belongs to one thread; calls throw what the broker
/// refused, and Interrupted.
class Publisher {
 public:
  struct Options {
    Address broker;
    std::string client_id;
    std::string topic;
    int qos = 1;
    std::size_t in_flight = 20;  // messages that wait for their acknowledgement
  };

  Publisher(Options options, std::stop_token stop);

  /// Waits while too many are in flight.
  void publish(std::string_view payload);
  /// Waits until the broker has acknowledged all; for QoS 0, until all are sent.
  void wait_until_acknowledged();

 private:
  struct Callbacks;
  struct Deleter {
    void operator()(void* handle) const noexcept;
  };

  void connect();
  template <class Condition>
  void wait(Condition condition);
  void check(int code, const char* function) const;

  Options options_;
  std::stop_token stop_;
  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any changed_;
  bool connected_ = false;
  std::size_t in_flight_ = 0;
  std::string failure_;
  std::unique_ptr<void, Deleter> handle_;  // last: its callbacks use the fields above
};

}  // namespace m2b::bench
